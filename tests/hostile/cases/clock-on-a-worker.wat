;; class: deadline in guest code
;; what: the same on a worker
;; fuel: 9_000_000_000_000
;; deadline_ms: 100
;; via: handle
;; expect: deadline_exceeded
(module
  (memory (export "memory") 1)
  (func (export "skill_on_event") (param $type i32) (param $type_len i32) (param $data i32) (param $len i32)
    (result i32)
    (loop (br 0))
    (i32.const 0)))
