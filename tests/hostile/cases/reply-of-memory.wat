;; class: value over the ceiling
;; what: a store that answers 8 MiB and a byte
;; memory_kib: 65536
;; expect: too_large
;; unwires: call_ceilings
;; memory: oversized
(module
  (import "env" "host_memory_get" (func $get (param i32 i32) (result i64)))
  (memory (export "memory") 150)
  (data (i32.const 0) "keys")
  (func (export "skill_on_event") (param $type i32) (param $type_len i32) (param $data i32) (param $len i32)
    (result i32)
    (i32.wrap_i64 (call $get (i32.const 0) (i32.const 4)))))
