;; class: text that is not UTF-8
;; what: a key of bytes that are no text
;; expect: not_utf8
(module
  (import "env" "host_memory_set" (func $set (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 0) "\ff\fe")
  (func (export "skill_on_event") (param $type i32) (param $type_len i32) (param $data i32) (param $len i32)
    (result i32)
    (call $set (i32.const 0) (i32.const 2) (i32.const 0) (i32.const 2))))
