;; class: feature that is off
;; what: memory that threads share
;; expect_load: invalid_module
;; unwires: features
(module
  (memory (export "memory") 1 2 shared)
  (func (export "skill_on_event") (param $type i32) (param $type_len i32) (param $data i32) (param $len i32)
    (result i32)
    (i32.const 0)))
