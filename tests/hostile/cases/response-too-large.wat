;; class: response over the ceiling
;; what: a response of 16 MiB and a byte, all of it in memory
;; memory_kib: 32768
;; expect: response_too_large
;; unwires: response
(module
  (memory (export "memory") 1)
  (func (export "skill_on_event") (param $type i32) (param $type_len i32) (param $data i32) (param $len i32)
    (result i64)
    (drop (memory.grow (i32.const 300)))
    (i64.const 0x0000000801000001)))
