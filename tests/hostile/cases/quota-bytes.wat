;; class: quota of stored bytes
;; what: a kilobyte each where ten may be kept
;; quota: bytes=10_000
;; expect: quota_exceeded
;; unwires: quota
(module
  (import "env" "host_memory_set" (func $set (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (func (export "skill_on_event") (param $type i32) (param $type_len i32) (param $data i32) (param $len i32)
    (result i32) (local $n i32) (local $status i32)
    (local.set $n (i32.const 60))
    (loop (i32.store8 (i32.const 8) (i32.add (i32.const 33) (i32.and (local.get $n) (i32.const 63))))
    (local.set $status (call $set (i32.const 8) (i32.const 1) (i32.const 0) (i32.const 1024)))
    (br_if 0 (local.tee $n (select (i32.const 0) (i32.sub (local.get $n) (i32.const 1)) (local.get $status)))))
    (local.get $status)))
