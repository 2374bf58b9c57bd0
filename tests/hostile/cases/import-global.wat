;; class: import that is no function
;; what: a mutable global of the host's
;; expect_load: unknown_import
;; unwires: imports
(module
  (import "env" "fuel" (global (mut i64)))
  (memory (export "memory") 1)
  (func (export "skill_on_event") (param $type i32) (param $type_len i32) (param $data i32) (param $len i32)
    (result i32)
    (i32.const 0)))
