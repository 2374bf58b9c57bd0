;; class: state in the host
;; what: an error text that the next event must not be given
;; expect: ok ok
;; unwires: fresh reset
(module
  (import "env" "host_set_error" (func $set_error (param i32 i32)))
  (memory (export "memory") 1)
  (data (i32.const 0) "secret")
  (func (export "skill_on_event") (param $type i32) (param $type_len i32) (param $data i32) (param $len i32)
    (result i32)
    (if (i32.load (i32.const 64)) (then (return (i32.const 1))))
    (call $set_error (i32.const 0) (i32.const 6))
    (i32.store (i32.const 64) (i32.const 1))
    (i32.const 0)))
