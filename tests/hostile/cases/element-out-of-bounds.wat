;; class: segments that do not fit
;; what: elements behind the end of a table
;; expect_load: trap_table_out_of_bounds
(module
  (memory (export "memory") 1)
  (table 1 funcref)
  (elem (i32.const 1) func $f)
  (func $f)
  (func (export "skill_on_event") (param $type i32) (param $type_len i32) (param $data i32) (param $len i32)
    (result i32)
    (i32.const 0)))
