;; class: exports named like the runtime's own
;; what: a counter and a start function of the guest's, by the names that the runtime gives its own
;; fuel: 1_000_000
;; expect: out_of_fuel
(module
  (memory (export "memory") 1)
  (global $fuel (export "cis:fuel") (mut i64) (i64.const 0x7fffffffffffffff))
  (func (export "cis:start") unreachable)
  (func (export "skill_on_event") (param $type i32) (param $type_len i32) (param $data i32) (param $len i32)
    (result i32)
    (global.set $fuel (i64.const 0x7fffffffffffffff))
    (loop (global.set $fuel (i64.const 0x7fffffffffffffff)) (br 0))
    (i32.const 0)))
