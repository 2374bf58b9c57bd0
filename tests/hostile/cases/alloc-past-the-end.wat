;; class: allocator that gives what is not there
;; what: the block begins in memory and ends behind it
;; expect: bad_allocation
;; unwires: allocator
(module
  (memory (export "memory") 1)
  (func (export "cis_alloc") (param i32) (result i32)
      (i32.const 65533))
  (func (export "skill_on_event") (param $type i32) (param $type_len i32) (param $data i32) (param $len i32)
    (result i32)
    (i32.const 0)))
