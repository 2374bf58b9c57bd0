;; class: flood of host calls
;; what: a hundred calls where ten are allowed
;; budget: host_calls=10
;; expect: out_of_host_calls
;; unwires: host_calls
(module
  (import "env" "host_config_get" (func $config (param i32 i32) (result i64)))
  (memory (export "memory") 1)
  (data (i32.const 0) "keys")
  (func (export "skill_on_event") (param $type i32) (param $type_len i32) (param $data i32) (param $len i32)
    (result i32) (local $n i32)
    (local.set $n (i32.const 100))
    (loop (drop (call $config (i32.const 0) (i32.const 4)))
    (br_if 0 (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))
    (i32.const 0)))
