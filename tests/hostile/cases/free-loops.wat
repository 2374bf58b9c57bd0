;; class: free that loops
;; what: giving the event's bytes back never ends
;; state: kept
;; fuel: 1_000_000
;; expect: out_of_fuel out_of_fuel
(module
  (memory (export "memory") 1)
  (global $next (mut i32) (i32.const 1024))
  (func (export "cis_alloc") (param i32) (result i32)
      (global.get $next)
      (global.set $next (i32.add (global.get $next) (local.get 0))))
  (func (export "cis_free") (param i32 i32) (loop (br 0)))
  (func (export "skill_on_event") (param $type i32) (param $type_len i32) (param $data i32) (param $len i32)
    (result i32)
    (i32.const 0)))
