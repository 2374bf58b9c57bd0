;; class: arguments that overlap
;; what: key and value share their bytes: nothing is wrong with that
;; expect: ok
(module
  (import "env" "host_memory_set" (func $set (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 0) "abcdef")
  (func (export "skill_on_event") (param $type i32) (param $type_len i32) (param $data i32) (param $len i32)
    (result i32)
    (call $set (i32.const 0) (i32.const 4) (i32.const 2) (i32.const 4))))
