;; class: runaway recursion in the allocator
;; what: it overflows inside of a call that the host makes
;; data: x
;; expect: trap_stack_overflow trap_stack_overflow
(module
  (memory (export "memory") 1)
  (func $deep (export "cis_alloc") (param i32) (result i32) (call $deep (local.get 0)))
  (func (export "skill_on_event") (param $type i32) (param $type_len i32) (param $data i32) (param $len i32)
    (result i32)
    (i32.const 0)))
