;; Branches out of blocks, loops and tables, into places that other branches lead to as well.
(module
  (memory (export "memory") 1)
  (global $sum (mut i32) (i32.const 0))
  (func $choose (param $n i32) (result i32)
    (block $a
      (block $b
        (block $c
          (loop $again
            (local.set $n (i32.sub (local.get $n) (i32.const 1)))
            (br_table $a $b $c $again (i32.and (local.get $n) (i32.const 3)))))
        (return (i32.const 1)))
      (if (i32.and (local.get $n) (i32.const 8)) (then (br $a)) (else (return (i32.const 2)))))
    (i32.const 3))
  (func (export "skill_on_event") (param i32 i32 i32 i32) (result i32)
    (local $n i32)
    (local.set $n (i32.const 100))
    (loop $next
      (global.set $sum (i32.add (global.get $sum) (call $choose (local.get $n))))
      (br_if $next (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))
    (i32.sub (global.get $sum) (global.get $sum))))
