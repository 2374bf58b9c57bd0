;; class: too many custom sections
;; what: a thousand and one
;; generate: custom-sections 1001
;; expect_load: module_too_large
;; unwires: ceilings
