;; class: runaway recursion through a table
;; what: a function that calls itself through the table
;; expect: trap_stack_overflow trap_stack_overflow
(module
  (memory (export "memory") 1)
  (table funcref (elem $deep))
  (func $deep (call_indirect (i32.const 0)))
  (func (export "skill_on_event") (param $type i32) (param $type_len i32) (param $data i32) (param $len i32)
    (result i32)
    (call $deep)
    (i32.const 0)))
