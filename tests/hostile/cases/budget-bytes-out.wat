;; class: flood of replies
;; what: 60 KB of a key read over and over
;; budget: bytes_out=1000000
;; expect: out_of_bytes_out
;; unwires: bytes_out
(module
  (import "env" "host_memory_set" (func $set (param i32 i32 i32 i32) (result i32)))
  (import "env" "host_memory_get" (func $get (param i32 i32) (result i64)))
  (memory (export "memory") 1)
  (func (export "cis_alloc") (param i32) (result i32) (i32.const 64))
  (data (i32.const 0) "k")
  (func (export "skill_on_event") (param $type i32) (param $type_len i32) (param $data i32) (param $len i32)
    (result i32) (local $n i32)
    (local.set $n (i32.const 100))
    (loop (drop (call $set (i32.const 0) (i32.const 1) (i32.const 0) (i32.const 60000)))
    (drop (call $get (i32.const 0) (i32.const 1)))
    (br_if 0 (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))
    (i32.const 0)))
