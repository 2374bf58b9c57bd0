;; class: export of another type
;; what: skill_init takes a parameter
;; expect_load: bad_export
;; unwires: exports
(module
  (memory (export "memory") 1)
  (func (export "skill_init") (param i64) (result i32) (i32.const 0))
  (func (export "skill_on_event") (param $type i32) (param $type_len i32) (param $data i32) (param $len i32)
    (result i32)
    (i32.const 0)))
