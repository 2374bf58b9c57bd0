;; class: flood of arguments
;; what: 4 KiB of error text a hundred times
;; budget: bytes_in=100000
;; expect: out_of_bytes_in
;; unwires: bytes_in
(module
  (import "env" "host_set_error" (func $set_error (param i32 i32)))
  (memory (export "memory") 1)
  (func (export "skill_on_event") (param $type i32) (param $type_len i32) (param $data i32) (param $len i32)
    (result i32) (local $n i32)
    (local.set $n (i32.const 100))
    (loop (call $set_error (i32.const 0) (i32.const 65536))
    (br_if 0 (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))
    (i32.const 0)))
