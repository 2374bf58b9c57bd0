;; class: feature that is off
;; what: types of the garbage collector
;; expect_load: invalid_module
(module
  (memory (export "memory") 1)
  (type (struct (field i32)))
  (func (export "skill_on_event") (param $type i32) (param $type_len i32) (param $data i32) (param $len i32)
    (result i32)
    (i32.const 0)))
