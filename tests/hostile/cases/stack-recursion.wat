;; class: runaway recursion
;; what: a function that calls itself
;; expect: trap_stack_overflow trap_stack_overflow
(module
  (memory (export "memory") 1)
  (func $deep (call $deep))
  (func (export "skill_on_event") (param $type i32) (param $type_len i32) (param $data i32) (param $len i32)
    (result i32)
    (call $deep)
    (i32.const 0)))
