;; class: tables declared beyond the limit
;; what: two tables of 60,000 elements
;; expect_load: table_too_large
;; unwires: tables
(module
  (memory (export "memory") 1)
  (table 60000 funcref)
  (table 60000 externref)
  (func (export "skill_on_event") (param $type i32) (param $type_len i32) (param $data i32) (param $len i32)
    (result i32)
    (i32.const 0)))
