;; class: list of ten thousand long keys
;; what: asked for ten thousand times, each refused after a walk
;; deadline_ms: 300
;; expect: deadline_exceeded
;; memory: full-of-keys
(module
  (import "env" "host_memory_list" (func $list (param i32 i32) (result i64)))
  (memory (export "memory") 1)
  (func (export "skill_on_event") (param $type i32) (param $type_len i32) (param $data i32) (param $len i32)
    (result i32) (local $n i32)
    (local.set $n (i32.const 10000))
    (loop (drop (call $list (i32.const 0) (i32.const 0)))
    (br_if 0 (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))
    (i32.const 0)))
