;; class: state in dropped segments
;; what: segments that the next event must find whole
;; expect: ok ok
;; unwires: fresh
(module
  (memory (export "memory") 1)
  (table 2 funcref)
  (data "mark")
  (elem func $f)
  (func $f)
  (func (export "skill_on_event") (param $type i32) (param $type_len i32) (param $data i32) (param $len i32)
    (result i32)
    (memory.init 0 (i32.const 0) (i32.const 0) (i32.const 4))
    (table.init 0 (i32.const 0) (i32.const 0) (i32.const 1))
    (data.drop 0)
    (elem.drop 0)
    (i32.const 0)))
