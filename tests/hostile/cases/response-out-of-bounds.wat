;; class: packed result outside of memory
;; what: a response at the end of the address space
;; expect: bad_pointer
;; unwires: pointers
(module
  (memory (export "memory") 1)
  (func (export "skill_on_event") (param $type i32) (param $type_len i32) (param $data i32) (param $len i32)
    (result i64)
    (i64.const 0xffffffff00000010)))
