;; class: endless loop
;; what: a loop that jumps back through a branch table
;; fuel: 20_000_000
;; expect: out_of_fuel
(module
  (memory (export "memory") 1)
  (func (export "skill_on_event") (param $type i32) (param $type_len i32) (param $data i32) (param $len i32)
    (result i32)
    (loop $l (br_table $l $l $l (i32.const 7)))
    (i32.const 0)))
