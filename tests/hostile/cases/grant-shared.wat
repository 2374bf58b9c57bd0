;; class: namespace of others
;; what: a key of a shared namespace that the manifest does not name
;; expect: denied
;; unwires: grants
(module
  (import "env" "host_memory_set" (func $set (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 0) "@others/keys")
  (func (export "skill_on_event") (param $type i32) (param $type_len i32) (param $data i32) (param $len i32)
    (result i32)
    (call $set (i32.const 0) (i32.const 12) (i32.const 0) (i32.const 4))))
