;; class: allocator that traps
;; what: each allocation traps
;; expect: trap_unreachable
(module
  (memory (export "memory") 1)
  (func (export "cis_alloc") (param i32) (result i32)
      unreachable)
  (func (export "skill_on_event") (param $type i32) (param $type_len i32) (param $data i32) (param $len i32)
    (result i32)
    (i32.const 0)))
