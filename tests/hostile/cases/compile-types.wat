;; class: too many types
;; what: twenty thousand and one
;; generate: types 20001 0
;; expect_load: module_too_large
;; unwires: ceilings
