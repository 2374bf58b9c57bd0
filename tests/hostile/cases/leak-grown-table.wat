;; class: state in a table's size
;; what: elements that the next event must not have
;; expect: ok ok
;; unwires: fresh
(module
  (memory (export "memory") 1)
  (table 2 funcref)
  (func (export "skill_on_event") (param $type i32) (param $type_len i32) (param $data i32) (param $len i32)
    (result i32)
    (if (i32.gt_u (table.size) (i32.const 2)) (then (return (i32.const 13))))
    (drop (table.grow (ref.null func) (i32.const 5)))
    (i32.const 0)))
