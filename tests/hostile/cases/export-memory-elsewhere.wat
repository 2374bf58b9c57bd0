;; class: memory under another name
;; what: there is a memory, and `memory` is a function
;; expect_load: missing_export
(module
  (memory (export "mem") 1) (func (export "memory"))
  (func (export "skill_on_event") (param $type i32) (param $type_len i32) (param $data i32) (param $len i32)
    (result i32)
    (i32.const 0)))
