;; class: arena in a thousand stretches
;; what: the guest grows memory between replies, so that each lies in a stretch of its own
;; expect: out_of_memory
(module
  (import "env" "host_memory_set" (func $set (param i32 i32 i32 i32) (result i32)))
  (import "env" "host_memory_get" (func $get (param i32 i32) (result i64)))
  (memory (export "memory") 1)
  (data (i32.const 0) "k")
  (func (export "skill_on_event") (param $type i32) (param $type_len i32) (param $data i32) (param $len i32)
    (result i32)
    (drop (call $set (i32.const 0) (i32.const 1) (i32.const 0) (i32.const 60000)))
    (loop $more
    (drop (call $get (i32.const 0) (i32.const 1)))
    (drop (memory.grow (i32.const 1)))
    (br $more))
    (i32.const 0)))
