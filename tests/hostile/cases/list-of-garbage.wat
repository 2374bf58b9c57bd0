;; class: list over the ceiling
;; what: a store that answers 2 MiB of keys
;; memory_kib: 65536
;; expect: too_large
;; unwires: call_ceilings
;; memory: oversized
(module
  (import "env" "host_memory_list" (func $list (param i32 i32) (result i64)))
  (memory (export "memory") 150)
  (func (export "skill_on_event") (param $type i32) (param $type_len i32) (param $data i32) (param $len i32)
    (result i32)
    (i32.wrap_i64 (call $list (i32.const 0) (i32.const 0)))))
