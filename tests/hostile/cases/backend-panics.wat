;; class: backend that panics
;; what: the AI panics while it is asked
;; grants: ai
;; ai: panicking
;; expect: backend_failed backend_failed
;; unwires: panics
(module
  (import "env" "host_ai_chat" (func $chat (param i32 i32) (result i64)))
  (memory (export "memory") 1)
  (func (export "skill_on_event") (param $type i32) (param $type_len i32) (param $data i32) (param $len i32)
    (result i32)
    (i32.wrap_i64 (call $chat (i32.const 0) (i32.const 4)))))
