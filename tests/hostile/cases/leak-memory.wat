;; class: state in memory
;; what: a mark in memory that the next event must not find
;; expect: ok ok
;; unwires: fresh reset
(module
  (memory (export "memory") 1)
  (func (export "skill_on_event") (param $type i32) (param $type_len i32) (param $data i32) (param $len i32)
    (result i32)
    (if (i32.load (i32.const 4096)) (then (return (i32.const 13))))
    (i32.store (i32.const 4096) (i32.const 1))
    (i32.const 0)))
