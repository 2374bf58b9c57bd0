;; class: host function exported as the guest's
;; what: skill_on_event is host_memory_set itself, and cis_free is host_set_error
;; state: kept
;; data: value
;; expect: ok ok
(module
  (import "env" "host_memory_set" (func $set (param i32 i32 i32 i32) (result i32)))
  (import "env" "host_set_error" (func $set_error (param i32 i32)))
  (memory (export "memory") 1)
  (export "skill_on_event" (func $set))
  (export "cis_free" (func $set_error)))
