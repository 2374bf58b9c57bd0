;; class: allocator that gives what is not there
;; what: the block lies at the end of the address space
;; expect: bad_allocation
(module
  (memory (export "memory") 1)
  (func (export "cis_alloc") (param i32) (result i32)
      (i32.const -16))
  (func (export "skill_on_event") (param $type i32) (param $type_len i32) (param $data i32) (param $len i32)
    (result i32)
    (i32.const 0)))
