;; class: pointer behind memory that failed to grow
;; what: memory.grow is refused, and the guest uses the pages all the same
;; expect: bad_pointer
;; unwires: pointers
(module
  (import "env" "host_log" (func $log (param i32 i32 i32)))
  (memory (export "memory") 1)
  (func (export "skill_on_event") (param $type i32) (param $type_len i32) (param $data i32) (param $len i32)
    (result i32)
    (drop (memory.grow (i32.const 1000)))
    (call $log (i32.const 1) (i32.const 0x300000) (i32.const 8))
    (i32.const 0)))
