;; class: too many functions
;; what: fifty thousand and one
;; generate: functions 50001
;; expect_load: module_too_large
;; unwires: ceilings
