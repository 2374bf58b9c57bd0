;; class: types of many parameters
;; what: five hundred types of a thousand parameters
;; generate: types 500 1000
;; expect_load: module_too_large
;; unwires: ceilings
