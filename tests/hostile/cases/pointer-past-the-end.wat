;; class: pointer past the end of memory
;; what: a log line that begins in memory and ends behind it
;; expect: bad_pointer
;; unwires: pointers
(module
  (import "env" "host_log" (func $log (param i32 i32 i32)))
  (memory (export "memory") 1)
  (func (export "skill_on_event") (param $type i32) (param $type_len i32) (param $data i32) (param $len i32)
    (result i32)
    (call $log (i32.const 1) (i32.const 131064) (i32.const 100))
    (i32.const 0)))
