;; class: state in a global
;; what: a mutable global that the next event must find as it was
;; expect: ok ok
;; unwires: fresh reset
(module
  (memory (export "memory") 1)
  (global $seen (mut i32) (i32.const 0))
  (func (export "skill_on_event") (param $type i32) (param $type_len i32) (param $data i32) (param $len i32)
    (result i32)
    (if (global.get $seen) (then (return (i32.const 13))))
    (global.set $seen (i32.const 1))
    (i32.const 0)))
