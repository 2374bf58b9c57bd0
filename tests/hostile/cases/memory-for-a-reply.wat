;; class: no room left for a reply
;; what: a reply of a megabyte where three pages are left
;; expect: out_of_memory
;; unwires: memory
(module
  (import "env" "host_memory_set" (func $set (param i32 i32 i32 i32) (result i32)))
  (import "env" "host_memory_get" (func $get (param i32 i32) (result i64)))
  (memory (export "memory") 1)
  (data (i32.const 0) "k")
  (func (export "skill_on_event") (param $type i32) (param $type_len i32) (param $data i32) (param $len i32)
    (result i32)
    (drop (memory.grow (i32.const 60)))
    (drop (call $set (i32.const 0) (i32.const 1) (i32.const 0) (i32.const 0x100000)))
    (drop (call $get (i32.const 0) (i32.const 1)))
    (i32.const 0)))
