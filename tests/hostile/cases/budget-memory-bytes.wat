;; class: flood of stored bytes
;; what: 60 KB a write, 100 KB allowed
;; budget: memory_write_bytes=100000
;; expect: out_of_memory_write_bytes
;; unwires: memory_write_bytes
(module
  (import "env" "host_memory_set" (func $set (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 0) "k")
  (func (export "skill_on_event") (param $type i32) (param $type_len i32) (param $data i32) (param $len i32)
    (result i32) (local $n i32)
    (local.set $n (i32.const 100))
    (loop (drop (call $set (i32.const 0) (i32.const 1) (i32.const 0) (i32.const 60000)))
    (br_if 0 (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))
    (i32.const 0)))
