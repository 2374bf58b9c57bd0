;; Pays more than a slice of fuel at once, and nothing after it: the last unit of the limit is used in the asking for more.
(module
  (memory (export "memory") 40)
  (func (export "skill_on_event") (param i32 i32 i32 i32) (result i32)
    (memory.fill (i32.const 0) (i32.const 7) (i32.const 2600000))
    (i32.const 0)))
