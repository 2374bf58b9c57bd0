;; A recursion without end: a trap, at a depth that is the compiler's.
(module
  (memory (export "memory") 1)
  (func $deep (param i64 i64 i64 i64) (result i64)
    (call $deep (local.get 1) (local.get 2) (local.get 3) (i64.add (local.get 0) (i64.const 1))))
  (func (export "skill_on_event") (param i32 i32 i32 i32) (result i64)
    (call $deep (i64.const 0) (i64.const 1) (i64.const 2) (i64.const 3))))
