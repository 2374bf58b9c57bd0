;; class: allocator that gives what is not there
;; what: the reply of a host call is allocated behind memory
;; expect: bad_allocation
;; data: hello
;; unwires: allocator
(module
  (import "env" "host_memory_set" (func $set (param i32 i32 i32 i32) (result i32)))
  (import "env" "host_memory_get" (func $get (param i32 i32) (result i64)))
  (memory (export "memory") 1)
  (global $count (mut i32) (i32.const 0))
  (data (i32.const 0) "k")
  (func (export "cis_alloc") (param i32) (result i32)
      (if (i32.gt_u (global.get $count) (i32.const 1)) (then (return (i32.const 0x7fffffff))))
      (global.set $count (i32.add (global.get $count) (i32.const 1)))
      (i32.shl (global.get $count) (i32.const 10)))
  (func (export "skill_on_event") (param $type i32) (param $type_len i32) (param $data i32) (param $len i32)
    (result i32)
    (drop (call $set (i32.const 0) (i32.const 1) (i32.const 0) (i32.const 1)))
    (drop (call $get (i32.const 0) (i32.const 1)))
    (i32.const 0)))
