;; class: allocator that grows memory
;; what: every block lies in pages that were grown for it, up to the limit
;; data: hello
;; expect: ok
(module
  (memory (export "memory") 1)
  (func (export "cis_alloc") (param i32) (result i32)
      (local $page i32)
      (local.set $page (memory.grow (i32.const 30)))
      (select (i32.const 0) (i32.shl (local.get $page) (i32.const 16)) (i32.eq (local.get $page) (i32.const -1))))
  (func (export "skill_on_event") (param $type i32) (param $type_len i32) (param $data i32) (param $len i32)
    (result i32)
    (drop (memory.grow (i32.const 1)))
    (i32.const 0)))
