;; class: state in grown memory
;; what: pages that the next event must not have, nor what is in them
;; expect: ok ok
;; unwires: fresh reset
(module
  (memory (export "memory") 1)
  (func (export "skill_on_event") (param $type i32) (param $type_len i32) (param $data i32) (param $len i32)
    (result i32)
    (if (i32.gt_u (memory.size) (i32.const 2)) (then (return (i32.const 13))))
    (drop (memory.grow (i32.const 8)))
    (i32.store (i32.const 0x20000) (i32.const 1))
    (i32.const 0)))
