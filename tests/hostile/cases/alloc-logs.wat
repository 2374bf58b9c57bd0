;; class: allocator that calls the host
;; what: each allocation writes a log line
;; expect: bad_allocation
;; unwires: reentry
(module
  (import "env" "host_log" (func $log (param i32 i32 i32)))
  (memory (export "memory") 1)
  (func (export "cis_alloc") (param i32) (result i32)
      (call $log (i32.const 1) (i32.const 0) (i32.const 1))
      (i32.const 64))
  (func (export "skill_on_event") (param $type i32) (param $type_len i32) (param $data i32) (param $len i32)
    (result i32)
    (i32.const 0)))
