;; class: AI that bills without bounds
;; what: the first reply costs all there is, and there is no second
;; budget: ai_tokens=100
;; expect: out_of_ai_tokens
;; unwires: ai_tokens
;; grants: ai
;; ai: greedy
(module
  (import "env" "host_ai_chat" (func $chat (param i32 i32) (result i64)))
  (memory (export "memory") 1)
  (func (export "skill_on_event") (param $type i32) (param $type_len i32) (param $data i32) (param $len i32)
    (result i32) (local $n i32)
    (local.set $n (i32.const 100))
    (loop (drop (call $chat (i32.const 0) (i32.const 4)))
    (br_if 0 (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))
    (i32.const 0)))
