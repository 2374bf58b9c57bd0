;; class: engine's trap on the last of the stack
;; what: a recursion whose fuel ends on the last of the stack
;; repeat: 1000
;; fuel: 165_000
;; expect: out_of_fuel|trap_stack_overflow
;; unwires: headroom
(module
  (memory (export "memory") 1)
  ;; A hundred arguments: a frame of about a kilobyte, so that few calls fill the stack.
  (func $deep (param $left i32) (param i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64) (result i32)
      (if (result i32) (local.get $left)
        (then (i32.add (i32.const 1) (call $deep (i32.sub (local.get $left) (i32.const 1))
          (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7))))
        (else (i32.const 0))))
  (func (export "skill_on_event") (param $type i32) (param $type_len i32) (param $data i32) (param $len i32)
    (result i32) (local $n i32) (local $i i32)
    (loop $digit
    (if (i32.lt_u (local.get $i) (local.get $len)) (then
    (local.set $n (i32.add (i32.mul (local.get $n) (i32.const 10))
    (i32.sub (i32.load8_u (i32.add (local.get $data) (local.get $i))) (i32.const 48))))
    (local.set $i (i32.add (local.get $i) (i32.const 1)))
    (br $digit))))
    ;; The more is used up here, the less deep it gets.
    (local.set $n (i32.mul (local.get $n) (i32.const 15)))
    (loop $use
      (br_if $use (i32.gt_s (local.tee $n (i32.sub (local.get $n) (i32.const 1))) (i32.const 0))))
    (drop (call $deep (i32.const 1000000)
      (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7)))
    (i32.const 0)))
