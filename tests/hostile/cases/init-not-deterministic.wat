;; class: skill_init that counts on the world
;; what: what it is told at load is what every instance is told
;; expect: ok ok
(module
  (import "env" "host_memory_get" (func $get (param i32 i32) (result i64)))
  (import "env" "host_memory_set" (func $set (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (global $seen (mut i32) (i32.const 0))
  (data (i32.const 0) "keys")
  (func (export "skill_init") (result i32)
      (if (i64.eqz (call $get (i32.const 0) (i32.const 4))) (then (global.set $seen (i32.const 1))))
      (call $set (i32.const 0) (i32.const 4) (i32.const 0) (i32.const 4)))
  (func (export "skill_on_event") (param $type i32) (param $type_len i32) (param $data i32) (param $len i32)
    (result i32)
    (i32.sub (global.get $seen) (i32.const 1))))
