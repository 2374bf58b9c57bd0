;; class: feature that is off
;; what: a second memory
;; expect_load: invalid_module
(module
  (memory (export "memory") 1)
  (memory 1)
  (func (export "skill_on_event") (param $type i32) (param $type_len i32) (param $data i32) (param $len i32)
    (result i32)
    (i32.const 0)))
