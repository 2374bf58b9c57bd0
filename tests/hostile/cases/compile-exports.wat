;; class: too many exports
;; what: ten thousand and one
;; generate: exports 10001
;; expect_load: module_too_large
;; unwires: ceilings
