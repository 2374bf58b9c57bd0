;; class: passive elements
;; what: three hundred thousand, a copy for every instance
;; generate: elements 300000
;; expect_load: module_too_large
;; unwires: ceilings
