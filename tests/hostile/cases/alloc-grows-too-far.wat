;; class: allocator that grows memory
;; what: every block wants 40 pages more, and the second time there are none
;; expect: ok|bad_allocation
;; data: hello
(module
  (memory (export "memory") 1)
  (func (export "cis_alloc") (param i32) (result i32)
      (drop (memory.grow (i32.const 40)))
      (i32.sub (i32.shl (memory.size) (i32.const 16)) (select (i32.const 0x300000) (i32.const 16) (i32.lt_u (memory.size) (i32.const 50)))))
  (func (export "skill_on_event") (param $type i32) (param $type_len i32) (param $data i32) (param $len i32)
    (result i32)
    (i32.const 0)))
