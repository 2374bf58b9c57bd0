;; class: key over the ceiling
;; what: a key of a kilobyte
;; expect: too_large
(module
  (import "env" "host_memory_set" (func $set (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (func (export "skill_on_event") (param $type i32) (param $type_len i32) (param $data i32) (param $len i32)
    (result i32)
    (memory.fill (i32.const 0) (i32.const 0x61) (i32.const 1024))
    (call $set (i32.const 0) (i32.const 1024) (i32.const 0) (i32.const 1))))
