;; class: instance that trapped
;; what: a kept skill that traps must begin anew
;; state: kept
;; expect: trap_unreachable trap_unreachable
;; unwires: retire
(module
  (memory (export "memory") 1)
  (global $n (mut i32) (i32.const 0))
  (func (export "skill_on_event") (param $type i32) (param $type_len i32) (param $data i32) (param $len i32)
    (result i32)
    (global.set $n (i32.add (global.get $n) (i32.const 1)))
    (if (i32.gt_u (global.get $n) (i32.const 1)) (then (return (i32.const 13))))
    unreachable))
