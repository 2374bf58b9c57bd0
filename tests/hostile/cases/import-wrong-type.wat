;; class: import of another type
;; what: a host function with a result more
;; expect_load: bad_import
;; unwires: imports
(module
  (import "env" "host_log" (func (param i32 i32 i32) (result i32 i32)))
  (memory (export "memory") 1)
  (func (export "skill_on_event") (param $type i32) (param $type_len i32) (param $data i32) (param $len i32)
    (result i32)
    (i32.const 0)))
