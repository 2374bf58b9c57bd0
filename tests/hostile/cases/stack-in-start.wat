;; class: runaway recursion in the start function
;; what: it overflows before the skill is loaded
;; expect_load: trap_stack_overflow
(module
  (memory (export "memory") 1)
  (func $deep (call $deep))
  (start $deep)
  (func (export "skill_on_event") (param $type i32) (param $type_len i32) (param $data i32) (param $len i32)
    (result i32)
    (i32.const 0)))
