;; class: start function that traps
;; what: it traps before the skill is loaded
;; expect_load: trap_unreachable
(module
  (memory (export "memory") 1)
  (func $f unreachable)
  (start $f)
  (func (export "skill_on_event") (param $type i32) (param $type_len i32) (param $data i32) (param $len i32)
    (result i32)
    (i32.const 0)))
