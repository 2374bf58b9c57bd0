;; class: text that triples when it is repaired
;; what: a log line of bytes each of which is replaced by three
;; expect: ok
(module
  (import "env" "host_log" (func $log (param i32 i32 i32)))
  (memory (export "memory") 1)
  (func (export "skill_on_event") (param $type i32) (param $type_len i32) (param $data i32) (param $len i32)
    (result i32)
    (memory.fill (i32.const 0) (i32.const 255) (i32.const 65536))
    (call $log (i32.const 1) (i32.const 0) (i32.const 65536))
    (i32.const 0)))
