;; class: types of many parameters
;; what: a thousand types of 120 parameters
;; generate: types 1000 120
;; expect_load: module_too_large
;; unwires: ceilings
