;; class: allocator that calls the host
;; what: each allocation asks for configuration, which is allocated for, and so on
;; expect: bad_allocation
(module
  (import "env" "host_config_get" (func $config (param i32 i32) (result i64)))
  (memory (export "memory") 1)
  (func (export "cis_alloc") (param i32) (result i32)
      (drop (call $config (i32.const 0) (i32.const 1)))
      (i32.const 64))
  (func (export "skill_on_event") (param $type i32) (param $type_len i32) (param $data i32) (param $len i32)
    (result i32)
    (i32.const 0)))
