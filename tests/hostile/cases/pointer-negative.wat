;; class: negative pointer and length
;; what: a prompt at -1 of -1 bytes
;; grants: ai
;; ai: answers
;; expect: bad_pointer
;; unwires: pointers
(module
  (import "env" "host_ai_chat" (func $chat (param i32 i32) (result i64)))
  (memory (export "memory") 1)
  (func (export "skill_on_event") (param $type i32) (param $type_len i32) (param $data i32) (param $len i32)
    (result i32)
    (drop (call $chat (i32.const -1) (i32.const -1)))
    (i32.const 0)))
