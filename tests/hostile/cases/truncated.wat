;; class: module cut short
;; what: half of a module
;; generate: truncated
;; expect_load: invalid_module
