;; class: flood of log bytes
;; what: lines of 60 KB
;; budget: log_bytes=20000
;; expect: out_of_log_bytes
;; unwires: log_bytes
(module
  (import "env" "host_log" (func $log (param i32 i32 i32)))
  (memory (export "memory") 1)
  (func (export "skill_on_event") (param $type i32) (param $type_len i32) (param $data i32) (param $len i32)
    (result i32) (local $n i32)
    (local.set $n (i32.const 100))
    (loop (call $log (i32.const -9) (i32.const 0) (i32.const 60000))
    (br_if 0 (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))
    (i32.const 0)))
