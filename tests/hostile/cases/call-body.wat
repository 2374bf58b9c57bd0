;; class: request body over the ceiling
;; what: 8 MiB and a byte to a server that takes them
;; memory_kib: 65536
;; expect: too_large
;; grants: http
;; http: egress
;; data: http://{allowed}/
(module
  (import "env" "host_http_post" (func $post (param i32 i32 i32 i32) (result i64)))
  (memory (export "memory") 150)
  (func (export "skill_on_event") (param $type i32) (param $type_len i32) (param $data i32) (param $len i32)
    (result i32)
    (i32.wrap_i64 (call $post (local.get $data) (local.get $len) (i32.const 0) (i32.const 0x800001)))))
