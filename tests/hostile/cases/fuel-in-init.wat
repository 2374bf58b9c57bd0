;; class: endless skill_init
;; what: skill_init loops
;; fuel: 1_000_000
;; expect_load: out_of_fuel
(module
  (memory (export "memory") 1)
  (func (export "skill_init") (result i32) (loop (br 0)) (i32.const 0))
  (func (export "skill_on_event") (param $type i32) (param $type_len i32) (param $data i32) (param $len i32)
    (result i32)
    (i32.const 0)))
