;; class: response that names 4 GiB
;; what: a length of 2^32 - 1 bytes
;; expect: response_too_large
;; unwires: response
(module
  (memory (export "memory") 1)
  (func (export "skill_on_event") (param $type i32) (param $type_len i32) (param $data i32) (param $len i32)
    (result i64)
    (i64.const 0x00000001ffffffff)))
