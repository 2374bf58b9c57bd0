;; class: reply over the ceiling
;; what: an AI that answers 8 MiB and a byte
;; memory_kib: 65536
;; expect: too_large
;; unwires: call_ceilings
;; grants: ai
;; ai: oversized
(module
  (import "env" "host_ai_chat" (func $chat (param i32 i32) (result i64)))
  (memory (export "memory") 150)
  (func (export "skill_on_event") (param $type i32) (param $type_len i32) (param $data i32) (param $len i32)
    (result i32)
    (i32.wrap_i64 (call $chat (i32.const 0) (i32.const 4)))))
