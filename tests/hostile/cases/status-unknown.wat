;; class: statuses nobody knows
;; what: a negative status that is no code of the contract
;; expect: skill_failed
(module
  (memory (export "memory") 1)
  (func (export "skill_on_event") (param $type i32) (param $type_len i32) (param $data i32) (param $len i32)
    (result i64)
    (i64.const 0x0000000080000000)))
