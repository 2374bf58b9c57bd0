;; class: empty region at the very end
;; what: no bytes at the first address that is none: allowed
;; expect: ok
(module
  (import "env" "host_log" (func $log (param i32 i32 i32)))
  (memory (export "memory") 1)
  (func (export "skill_on_event") (param $type i32) (param $type_len i32) (param $data i32) (param $len i32)
    (result i32)
    (call $log (i32.const 1) (i32.shl (memory.size) (i32.const 16)) (i32.const 0))
    (i32.const 0)))
