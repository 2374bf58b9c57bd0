;; class: response inside of the event's own block
;; what: it must not be given back twice
;; state: kept
;; data: hello
;; expect: ok ok ok
(module
  (memory (export "memory") 1)
  (global $next (mut i32) (i32.const 1024))
  (global $live (mut i32) (i32.const 0))
  (func (export "cis_alloc") (param i32) (result i32)
      (global.set $live (i32.add (global.get $live) (local.get 0)))
      (global.get $next)
      (global.set $next (i32.add (global.get $next) (local.get 0))))
  (func (export "cis_free") (param i32 i32)
      (global.set $live (i32.sub (global.get $live) (local.get 1)))
      (if (i32.lt_s (global.get $live) (i32.const 0)) (then unreachable)))
  (func (export "skill_on_event") (param $type i32) (param $type_len i32) (param $data i32) (param $len i32)
    (result i64)
    (i64.or (i64.shl (i64.extend_i32_u (local.get $data)) (i64.const 32)) (i64.const 2))))
