;; class: redirects in a loop
;; what: each hop is a request: two calls use up eight
;; budget: http_requests=8
;; expect: out_of_http_requests
;; unwires: http_requests
;; grants: http
;; http: egress
;; data: http://{allowed}/loop
(module
  (import "env" "host_http_post" (func $post (param i32 i32 i32 i32) (result i64)))
  (memory (export "memory") 1)
  (func (export "skill_on_event") (param $type i32) (param $type_len i32) (param $data i32) (param $len i32)
    (result i32) (local $n i32)
    (local.set $n (i32.const 100))
    (loop (drop (call $post (local.get $data) (local.get $len) (i32.const 0) (i32.const 0)))
    (br_if 0 (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))
    (i32.const 0)))
