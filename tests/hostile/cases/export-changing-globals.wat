;; class: mutable globals that are exported and changed
;; what: every exported global is the host's to ignore
;; state: kept
;; expect: ok ok
(module
  (memory (export "memory") 1)
  (global $base (export "__heap_base") (mut i32) (i32.const 0))
  (global $memory (export "__stack_pointer") (mut i32) (i32.const 0))
  (func (export "skill_on_event") (param $type i32) (param $type_len i32) (param $data i32) (param $len i32)
    (result i32)
    (global.set $base (i32.const -1))
    (global.set $memory (i32.const -1))
    (i32.const 0)))
