;; class: key that climbs out of its namespace
;; what: a key with slashes, dots and a zero byte is a key like any other
;; expect: ok
(module
  (import "env" "host_memory_set" (func $set (param i32 i32 i32 i32) (result i32)))
  (import "env" "host_memory_get" (func $get (param i32 i32) (result i64)))
  (memory (export "memory") 1)
  (data (i32.const 0) "../skill/well\00/greet")
  (data (i32.const 32) "greet")
  (func (export "skill_on_event") (param $type i32) (param $type_len i32) (param $data i32) (param $len i32)
    (result i32)
    (drop (call $set (i32.const 0) (i32.const 20) (i32.const 0) (i32.const 4)))
    (i64.ne (call $get (i32.const 32) (i32.const 5)) (i64.const 0))))
