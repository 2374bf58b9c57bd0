;; class: host call on the last of the stack
;; what: a recursion that ends in a host call, ever deeper
;; repeat: 500
;; expect: ok|trap_stack_overflow
(module
  (import "env" "host_memory_set" (func $set (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 0) "keys")
  ;; A hundred arguments: a frame of about a kilobyte, so that few calls fill the stack.
  (func $deep (param $left i32) (param i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64) (result i32)
      (if (result i32) (local.get $left)
        (then (i32.add (i32.const 1) (call $deep (i32.sub (local.get $left) (i32.const 1))
          (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7))))
        (else (call $set (i32.const 0) (i32.const 4) (i32.const 0) (i32.const 4)))))
  (func (export "skill_on_event") (param $type i32) (param $type_len i32) (param $data i32) (param $len i32)
    (result i32) (local $n i32) (local $i i32)
    (loop $digit
    (if (i32.lt_u (local.get $i) (local.get $len)) (then
    (local.set $n (i32.add (i32.mul (local.get $n) (i32.const 10))
    (i32.sub (i32.load8_u (i32.add (local.get $data) (local.get $i))) (i32.const 48))))
    (local.set $i (i32.add (local.get $i) (i32.const 1)))
    (br $digit))))
    (drop (call $deep (i32.add (i32.const 500) (i32.mul (local.get $n) (i32.const 2)))
    (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7)))
    (i32.const 0)))
