;; class: contract of another version
;; what: it speaks version 99
;; expect_load: unsupported_abi
(module
  (memory (export "memory") 1)
  (func (export "cis_abi_version") (result i32) (i32.const 99))
  (func (export "skill_on_event") (param $type i32) (param $type_len i32) (param $data i32) (param $len i32)
    (result i32)
    (i32.const 0)))
