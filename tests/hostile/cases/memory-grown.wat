;; class: memory grown beyond the limit
;; what: one growth past the limit, which must be refused
;; expect: ok
;; unwires: memory
(module
  (memory (export "memory") 1)
  (func (export "skill_on_event") (param $type i32) (param $type_len i32) (param $data i32) (param $len i32)
    (result i32)
    (i32.add (memory.grow (i32.const 64)) (i32.const 1))))
