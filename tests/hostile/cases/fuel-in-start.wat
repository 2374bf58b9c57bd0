;; class: endless start function
;; what: the start function loops
;; fuel: 1_000_000
;; expect_load: out_of_fuel
;; unwires: fuel
(module
  (memory (export "memory") 1)
  (func $spin (loop (br 0)))
  (start $spin)
  (func (export "skill_on_event") (param $type i32) (param $type_len i32) (param $data i32) (param $len i32)
    (result i32)
    (i32.const 0)))
