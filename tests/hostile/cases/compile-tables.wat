;; class: too many tables
;; what: sixty-five
;; generate: tables 65
;; expect_load: module_too_large
;; unwires: ceilings
