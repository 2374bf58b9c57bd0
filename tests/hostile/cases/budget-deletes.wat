;; class: flood of deletes
;; what: a key deleted a hundred times
;; budget: memory_writes=10
;; expect: out_of_memory_writes
;; unwires: memory_writes
(module
  (import "env" "host_memory_delete" (func $delete (param i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 0) "keys")
  (func (export "skill_on_event") (param $type i32) (param $type_len i32) (param $data i32) (param $len i32)
    (result i32) (local $n i32)
    (local.set $n (i32.const 100))
    (loop (drop (call $delete (i32.const 0) (i32.const 4)))
    (br_if 0 (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))
    (i32.const 0)))
