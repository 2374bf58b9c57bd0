;; class: growing for nothing
;; what: memory grown by no pages, three hundred thousand times
;; fuel: 100_000_000
;; expect: out_of_fuel
;; unwires: bulk
(module
  (memory (export "memory") 1)
  (func (export "skill_on_event") (param $type i32) (param $type_len i32) (param $data i32) (param $len i32)
    (result i32) (local $n i32)
    (local.set $n (i32.const 300000))
    (loop (drop (memory.grow (i32.const 0)))
    (br_if 0 (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))
    (i32.const 0)))
