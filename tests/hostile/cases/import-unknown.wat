;; class: import that is not ours
;; what: a function of the operating system
;; expect_load: unknown_import
;; unwires: imports
(module
  (import "env" "host_exec" (func (param i32)))
  (memory (export "memory") 1)
  (func (export "skill_on_event") (param $type i32) (param $type_len i32) (param $data i32) (param $len i32)
    (result i32)
    (i32.const 0)))
