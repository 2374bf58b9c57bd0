;; class: runaway mutual recursion
;; what: two functions that call each other, with locals
;; expect: trap_stack_overflow trap_stack_overflow
(module
  (memory (export "memory") 1)
  (func $a (param i64) (local i64 i64 i64) (call $b (local.get 0) (f64.const 1)))
  (func $b (param i64 f64) (call $a (i64.add (local.get 0) (i64.const 1))))
  (func (export "skill_on_event") (param $type i32) (param $type_len i32) (param $data i32) (param $len i32)
    (result i32)
    (call $a (i64.const 1))
    (i32.const 0)))
