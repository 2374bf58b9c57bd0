;; class: engine's trap on the last of the stack
;; what: a recursion that ends in a fill out of bounds, ever deeper
;; repeat: 500
;; expect: trap_out_of_bounds|trap_stack_overflow
;; unwires: headroom
(module
  (memory (export "memory") 1)
  ;; A hundred arguments: a frame of about a kilobyte, so that few calls fill the stack.
  (func $deep (param $left i32) (param i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64) (result i32)
      (if (result i32) (local.get $left)
        (then (i32.add (i32.const 1) (call $deep (i32.sub (local.get $left) (i32.const 1))
          (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7) (i64.const 7))))
        (else (memory.fill (i32.const -1) (i32.const 0) (i32.const 1)) (i32.const 0))))
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
