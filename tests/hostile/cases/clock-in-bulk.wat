;; class: deadline in bulk operations
;; what: memory filled over and over with fuel to spare
;; fuel: 9_000_000_000_000
;; deadline_ms: 100
;; expect: deadline_exceeded
(module
  (memory (export "memory") 48)
  (func (export "skill_on_event") (param $type i32) (param $type_len i32) (param $data i32) (param $len i32)
    (result i32)
    (loop (memory.fill (i32.const 0) (i32.const 1) (i32.const 0x300000)) (br 0))
    (i32.const 0)))
