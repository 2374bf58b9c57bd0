;; class: many tables grown
;; what: 64 tables, each grown as far as it goes: together within the limit
;; expect: ok
;; unwires: tables
(module
  (memory (export "memory") 1)
  (table 0 funcref)
  (table 0 funcref)
  (table 0 funcref)
  (table 0 funcref)
  (table 0 funcref)
  (table 0 funcref)
  (table 0 funcref)
  (table 0 funcref)
  (func (export "skill_on_event") (param $type i32) (param $type_len i32) (param $data i32) (param $len i32)
    (result i32)
    (loop (br_if 0 (i32.ne (table.grow 0 (ref.null func) (i32.const 1000)) (i32.const -1))))
    (loop (br_if 0 (i32.ne (table.grow 1 (ref.null func) (i32.const 1000)) (i32.const -1))))
    (loop (br_if 0 (i32.ne (table.grow 2 (ref.null func) (i32.const 1000)) (i32.const -1))))
    (loop (br_if 0 (i32.ne (table.grow 3 (ref.null func) (i32.const 1000)) (i32.const -1))))
    (loop (br_if 0 (i32.ne (table.grow 4 (ref.null func) (i32.const 1000)) (i32.const -1))))
    (loop (br_if 0 (i32.ne (table.grow 5 (ref.null func) (i32.const 1000)) (i32.const -1))))
    (loop (br_if 0 (i32.ne (table.grow 6 (ref.null func) (i32.const 1000)) (i32.const -1))))
    (loop (br_if 0 (i32.ne (table.grow 7 (ref.null func) (i32.const 1000)) (i32.const -1))))
    (i32.gt_u (i32.add (i32.add (i32.add (i32.add (i32.add (i32.add (i32.add (table.size 0) (table.size 1)) (table.size 2)) (table.size 3)) (table.size 4)) (table.size 5)) (table.size 6)) (table.size 7)) (i32.const 100000))))
