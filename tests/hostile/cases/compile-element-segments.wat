;; class: too many element segments
;; what: fifty thousand and one
;; generate: element-segments 50001
;; expect_load: module_too_large
;; unwires: ceilings
