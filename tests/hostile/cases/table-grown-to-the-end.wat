;; class: table.grow(-1)
;; what: one growth by 2^32 - 1 elements, which must be refused
;; expect: ok
;; unwires: tables
(module
  (memory (export "memory") 1)
  (table 1 funcref)
  (func (export "skill_on_event") (param $type i32) (param $type_len i32) (param $data i32) (param $len i32)
    (result i32)
    (i32.add (table.grow (ref.null func) (i32.const -1)) (i32.const 1))))
