;; class: free that calls the host
;; what: giving the event's bytes back writes a thousand log lines
;; state: kept
;; budget: log_lines=20
;; expect: out_of_log_lines
;; unwires: log_lines
(module
  (import "env" "host_log" (func $log (param i32 i32 i32)))
  (memory (export "memory") 1)
  (global $next (mut i32) (i32.const 1024))
  (func (export "cis_alloc") (param i32) (result i32)
      (global.get $next)
      (global.set $next (i32.add (global.get $next) (local.get 0))))
  (func (export "cis_free") (param i32 i32)
      (loop (call $log (i32.const 1) (i32.const 0) (i32.const 1)) (br 0)))
  (func (export "skill_on_event") (param $type i32) (param $type_len i32) (param $data i32) (param $len i32)
    (result i32)
    (i32.const 0)))
