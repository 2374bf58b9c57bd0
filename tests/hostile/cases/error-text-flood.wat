;; class: flood of error texts
;; what: a megabyte of error text a hundred times, then an error
;; expect: skill_failed
;; unwires: call_ceilings
(module
  (import "env" "host_set_error" (func $set_error (param i32 i32)))
  (memory (export "memory") 17)
  (func (export "skill_on_event") (param $type i32) (param $type_len i32) (param $data i32) (param $len i32)
    (result i32) (local $n i32)
    (memory.fill (i32.const 0) (i32.const 0x65) (i32.const 0x100000))
    (local.set $n (i32.const 100))
    (loop (call $set_error (i32.const 0) (i32.const 0x100000))
    (br_if 0 (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))
    (i32.const -99)))
