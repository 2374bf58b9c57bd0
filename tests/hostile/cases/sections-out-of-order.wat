;; class: malformed sections
;; what: the code before the types
;; generate: out-of-order
;; expect_load: invalid_module
