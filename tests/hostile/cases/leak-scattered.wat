;; class: state in scattered pages
;; what: more stretches of written pages than can be watched, of which the next event must not find one
;; expect: ok ok
;; memory_kib: 65536
;; unwires: fresh reset
(module
  (memory (export "memory") 600)
  (func (export "skill_on_event") (param $type i32) (param $type_len i32) (param $data i32) (param $len i32)
    (result i32) (local $at i32)
    (local.set $at (i32.const 8192))
    (loop $next
      (if (i32.load (local.get $at)) (then (return (i32.const 13))))
      (i32.store (local.get $at) (i32.const 1))
      (br_if $next
        (i32.lt_u (local.tee $at (i32.add (local.get $at) (i32.const 8192))) (i32.const 39321600))))
    (i32.const 0)))
