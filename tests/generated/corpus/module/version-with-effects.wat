;; Saying its version changes the instance, and asks the host: a fresh event has to find that as a kept skill does.
(module
  (import "env" "host_config_get" (func $config (param i32 i32) (result i64)))
  (memory (export "memory") 1)
  (data (i32.const 0) "a")
  (global $asked (mut i64) (i64.const 0))
  (func (export "cis_abi_version") (result i32)
    (global.set $asked (call $config (i32.const 0) (i32.const 1)))
    (drop (memory.grow (i32.const 1)))
    (i32.const 1))
  (func (export "skill_on_event") (param i32 i32 i32 i32) (result i64) (global.get $asked)))
