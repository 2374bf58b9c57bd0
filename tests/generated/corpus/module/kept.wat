;; Counts its events in memory and in a global, and grows: a kept skill sees what is left, a fresh one never does.
(module
  (memory (export "memory") 1)
  (global $events (mut i32) (i32.const 0))
  (func (export "skill_on_event") (param i32 i32 i32 i32) (result i64)
    (global.set $events (i32.add (global.get $events) (i32.const 1)))
    (i32.store (i32.const 16) (i32.add (i32.load (i32.const 16)) (i32.const 1)))
    (i32.store (i32.const 20) (global.get $events))
    (i32.store (i32.const 24) (memory.grow (i32.const 1)))
    (i64.const 0x100000000C)))
