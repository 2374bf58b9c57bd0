;; class: recursion that returns
;; what: a tree of calls 60 deep: more than ever ends
;; fuel: 20_000_000
;; expect: out_of_fuel
;; unwires: fuel
(module
  (memory (export "memory") 1)
  (func $tree (param i32)
      (if (local.get 0) (then
        (call $tree (i32.sub (local.get 0) (i32.const 1)))
        (call $tree (i32.sub (local.get 0) (i32.const 1))))))
  (func (export "skill_on_event") (param $type i32) (param $type_len i32) (param $data i32) (param $len i32)
    (result i32)
    (call $tree (i32.const 60))
    (i32.const 0)))
