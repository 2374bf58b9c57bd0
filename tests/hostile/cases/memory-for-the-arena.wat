;; class: no room left for the event
;; what: all memory is the guest's when the event comes
;; expect: out_of_memory
;; unwires: memory
(module
  (memory (export "memory") 64)
  (func (export "skill_on_event") (param $type i32) (param $type_len i32) (param $data i32) (param $len i32)
    (result i32)
    (i32.const 0)))
