;; class: too many globals
;; what: ten thousand and one
;; generate: globals 10001
;; expect_load: module_too_large
;; unwires: ceilings
