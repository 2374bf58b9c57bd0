;; class: region that wraps around
;; what: a value whose end is below its beginning in 32 bits
;; expect: bad_pointer
;; unwires: pointers
(module
  (import "env" "host_memory_set" (func $set (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (func (export "skill_on_event") (param $type i32) (param $type_len i32) (param $data i32) (param $len i32)
    (result i32)
    (drop (call $set (i32.const 0) (i32.const 4) (i32.const -8) (i32.const 16)))
    (i32.const 0)))
