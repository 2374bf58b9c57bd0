;; class: table operations for nothing
;; what: ten thousand elements filled and copied, over and over
;; fuel: 400_000_000
;; expect: out_of_fuel
;; unwires: bulk
(module
  (memory (export "memory") 1)
  (table 20000 funcref)
  (func (export "skill_on_event") (param $type i32) (param $type_len i32) (param $data i32) (param $len i32)
    (result i32) (local $n i32)
    (local.set $n (i32.const 20000))
    (loop
    (table.fill 0 (i32.const 0) (ref.null func) (i32.const 10000))
    (table.copy (i32.const 0) (i32.const 10000) (i32.const 10000))
    (br_if 0 (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))
    (i32.const 0)))
