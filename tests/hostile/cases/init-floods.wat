;; class: skill_init that floods the host
;; what: a hundred log lines where ten are allowed
;; budget: log_lines=10
;; expect_load: out_of_log_lines
;; unwires: log_lines
(module
  (import "env" "host_log" (func $log (param i32 i32 i32)))
  (memory (export "memory") 1)
  (func (export "skill_init") (result i32)
      (loop (call $log (i32.const 1) (i32.const 0) (i32.const 4)) (br 0)) (i32.const 0))
  (func (export "skill_on_event") (param $type i32) (param $type_len i32) (param $data i32) (param $len i32)
    (result i32)
    (i32.const 0)))
