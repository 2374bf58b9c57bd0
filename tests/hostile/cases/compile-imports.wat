;; class: too many imports
;; what: the log, forty times
;; generate: imports 40
;; expect_load: module_too_large
;; unwires: ceilings
