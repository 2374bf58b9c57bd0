;; class: state in a table
;; what: an element that the next event must not find
;; expect: ok ok
;; unwires: fresh
(module
  (memory (export "memory") 1)
  (table 2 funcref)
  (elem declare func $f)
  (func $f)
  (func (export "skill_on_event") (param $type i32) (param $type_len i32) (param $data i32) (param $len i32)
    (result i32)
    (if (i32.eqz (ref.is_null (table.get (i32.const 1)))) (then (return (i32.const 13))))
    (table.set (i32.const 1) (ref.func $f))
    (i32.const 0)))
