;; class: deadline in the start function
;; what: the start function loops with fuel to spare
;; fuel: 9_000_000_000_000
;; deadline_ms: 100
;; expect_load: deadline_exceeded
;; unwires: deadline
(module
  (memory (export "memory") 1)
  (func $spin (loop (br 0)))
  (start $spin)
  (func (export "skill_on_event") (param $type i32) (param $type_len i32) (param $data i32) (param $len i32)
    (result i32)
    (i32.const 0)))
