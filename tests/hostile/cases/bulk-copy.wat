;; class: bulk memory for nothing
;; what: half of memory copied onto the other half, over and over
;; fuel: 50_000_000
;; expect: out_of_fuel
;; unwires: bulk
(module
  (memory (export "memory") 33)
  (func (export "skill_on_event") (param $type i32) (param $type_len i32) (param $data i32) (param $len i32)
    (result i32) (local $n i32)
    (local.set $n (i32.const 2000))
    (loop (memory.copy (i32.const 0) (i32.const 0x100000) (i32.const 0x100000))
    (br_if 0 (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))
    (i32.const 0)))
