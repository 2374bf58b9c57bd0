;; class: export that is no function
;; what: cis_alloc is a global
;; expect_load: bad_export
;; unwires: exports
(module
  (memory (export "memory") 1)
  (global (export "cis_alloc") (mut i32) (i32.const 0))
  (func (export "skill_on_event") (param $type i32) (param $type_len i32) (param $data i32) (param $len i32)
    (result i32)
    (i32.const 0)))
