;; class: memory declared beyond the limit
;; what: 65 MiB at the start
;; expect_load: out_of_memory
;; unwires: memory
(module
  (memory (export "memory") 1040)
  (func (export "skill_on_event") (param $type i32) (param $type_len i32) (param $data i32) (param $len i32)
    (result i32)
    (i32.const 0)))
