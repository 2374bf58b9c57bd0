;; class: address behind a user name
;; what: the allowed server as the name of a user of the other one
;; grants: http
;; http: egress
;; data: http://{allowed}@{private}/
;; expect: denied
(module
  (import "env" "host_http_post" (func $post (param i32 i32 i32 i32) (result i64)))
  (memory (export "memory") 1)
  (func (export "skill_on_event") (param $type i32) (param $type_len i32) (param $data i32) (param $len i32)
    (result i32)
    (i32.wrap_i64 (call $post (local.get $data) (local.get $len) (i32.const 0) (i32.const 0)))))
