;; class: allocator that gives a block twice
;; what: the second block begins inside the first
;; expect: bad_allocation
;; data: hello
;; unwires: allocator
(module
  (memory (export "memory") 1)
  (global $next (mut i32) (i32.const 64))
  (func (export "cis_alloc") (param i32) (result i32)
      (global.get $next)
      (global.set $next (i32.add (global.get $next) (i32.const 2))))
  (func (export "skill_on_event") (param $type i32) (param $type_len i32) (param $data i32) (param $len i32)
    (result i32)
    (i32.const 0)))
