;; class: length that names gigabytes
;; what: four gigabytes from address 0, before anything is allocated for them
;; expect: bad_pointer
;; unwires: pointers
(module
  (import "env" "host_log" (func $log (param i32 i32 i32)))
  (import "env" "host_memory_set" (func $set (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (func (export "skill_on_event") (param $type i32) (param $type_len i32) (param $data i32) (param $len i32)
    (result i32)
    (call $log (i32.const 1) (i32.const 0) (i32.const -1))
    (drop (call $set (i32.const 0) (i32.const -1) (i32.const 0) (i32.const -1)))
    (i32.const 0)))
