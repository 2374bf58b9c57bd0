;; class: allocator that calls the host
;; what: each allocation asks the host for bytes, which are allocated for
;; expect: bad_allocation
;; unwires: reentry
(module
  (import "env" "host_memory_get" (func $get (param i32 i32) (result i64)))
  (memory (export "memory") 1)
  (func (export "cis_alloc") (param i32) (result i32)
      (drop (call $get (i32.const 0) (i32.const 1)))
      (i32.const 64))
  (func (export "skill_on_event") (param $type i32) (param $type_len i32) (param $data i32) (param $len i32)
    (result i32)
    (i32.const 0)))
