;; class: segments that do not fit
;; what: data behind the end of memory
;; expect_load: trap_out_of_bounds
(module
  (memory (export "memory") 1)
  (data (i32.const 65535) "ab")
  (func (export "skill_on_event") (param $type i32) (param $type_len i32) (param $data i32) (param $len i32)
    (result i32)
    (i32.const 0)))
