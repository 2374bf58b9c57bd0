;; class: memory backend that never answers
;; what: a key is asked for, and the disk hangs
;; deadline_ms: 100
;; expect: deadline_exceeded
;; unwires: wait
;; memory: stalled
(module
  (import "env" "host_memory_get" (func $get (param i32 i32) (result i64)))
  (memory (export "memory") 1)
  (data (i32.const 0) "keys")
  (func (export "skill_on_event") (param $type i32) (param $type_len i32) (param $data i32) (param $len i32)
    (result i32)
    (drop (call $get (i32.const 0) (i32.const 4)))
    (i32.const 0)))
