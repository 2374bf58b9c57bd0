;; class: bytes that are no module
;; what: a shell script
;; generate: text
;; expect_load: invalid_module
