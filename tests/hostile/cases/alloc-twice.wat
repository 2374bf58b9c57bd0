;; class: allocator that gives a block twice
;; what: type and data of the event are given the same block
;; expect: bad_allocation
;; data: hello
;; unwires: allocator
(module
  (memory (export "memory") 1)
  (func (export "cis_alloc") (param i32) (result i32)
      (i32.const 64))
  (func (export "skill_on_event") (param $type i32) (param $type_len i32) (param $data i32) (param $len i32)
    (result i32)
    (i32.const 0)))
