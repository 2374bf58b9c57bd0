;; class: deadline in calls that the host refuses
;; what: a megabyte that is no text, handed over as a prompt ten thousand times: next to no fuel
;; grants: ai
;; ai: answers
;; budget: host_calls=1000000
;; deadline_ms: 200
;; expect: deadline_exceeded
;; unwires: deadline
(module
  (import "env" "host_ai_chat" (func $chat (param i32 i32) (result i64)))
  (memory (export "memory") 17)
  (func (export "skill_on_event") (param $type i32) (param $type_len i32) (param $data i32) (param $len i32)
    (result i32) (local $n i32)
    (memory.fill (i32.const 0) (i32.const 0x61) (i32.const 0x100000))
    (i32.store8 (i32.const 0xfffff) (i32.const 0xff))
    (local.set $n (i32.const 100000))
    (loop (drop (call $chat (i32.const 0) (i32.const 0x100000)))
    (br_if 0 (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))
    (i32.const 0)))
