;; class: pointer far outside of memory
;; what: a key that lies a gigabyte behind memory
;; expect: bad_pointer
;; unwires: pointers
(module
  (import "env" "host_memory_get" (func $get (param i32 i32) (result i64)))
  (memory (export "memory") 1)
  (func (export "skill_on_event") (param $type i32) (param $type_len i32) (param $data i32) (param $len i32)
    (result i32)
    (drop (call $get (i32.const 0x40000000) (i32.const 4)))
    (i32.const 0)))
