;; class: value over the ceiling
;; what: a value of 8 MiB and a byte
;; memory_kib: 65536
;; expect: too_large
;; unwires: call_ceilings
(module
  (import "env" "host_memory_set" (func $set (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 150)
  (data (i32.const 0) "k")
  (func (export "skill_on_event") (param $type i32) (param $type_len i32) (param $data i32) (param $len i32)
    (result i32)
    (call $set (i32.const 0) (i32.const 1) (i32.const 0) (i32.const 0x800001))))
