;; class: endless calls through a table
;; what: each function calls the next through the table, and a loop the first
;; fuel: 20_000_000
;; expect: out_of_fuel
(module
  (memory (export "memory") 1)
  (table funcref (elem $f $g))
  (func $f (result i32) (call_indirect (result i32) (i32.const 1)))
  (func $g (result i32) (i32.const 1))
  (func (export "skill_on_event") (param $type i32) (param $type_len i32) (param $data i32) (param $len i32)
    (result i32)
    (loop (drop (call_indirect (result i32) (i32.const 0))) (br 0))
    (i32.const 0)))
