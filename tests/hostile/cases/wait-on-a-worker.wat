;; class: AI that never answers
;; what: the same on a worker
;; grants: ai
;; ai: hung
;; deadline_ms: 100
;; via: handle
;; expect: deadline_exceeded
(module
  (import "env" "host_ai_chat" (func $chat (param i32 i32) (result i64)))
  (memory (export "memory") 1)
  (func (export "skill_on_event") (param $type i32) (param $type_len i32) (param $data i32) (param $len i32)
    (result i32)
    (drop (call $chat (i32.const 0) (i32.const 4)))
    (i32.const 0)))
