;; class: feature that is off
;; what: relaxed vector instructions
;; expect_load: invalid_module
;; unwires: features
(module
  (memory (export "memory") 1)
  (func (export "skill_on_event") (param $type i32) (param $type_len i32) (param $data i32) (param $len i32)
    (result i32)
    (drop (i32x4.relaxed_trunc_f32x4_s (v128.const i32x4 0 0 0 0)))
    (i32.const 0)))
