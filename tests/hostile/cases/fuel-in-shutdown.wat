;; class: endless skill_shutdown
;; what: skill_shutdown loops
;; fuel: 1_000_000
;; state: kept
;; expect: ok
;; shutdown: out_of_fuel
(module
  (memory (export "memory") 1)
  (func (export "skill_shutdown") (loop (br 0)))
  (func (export "skill_on_event") (param $type i32) (param $type_len i32) (param $data i32) (param $len i32)
    (result i32)
    (i32.const 0)))
