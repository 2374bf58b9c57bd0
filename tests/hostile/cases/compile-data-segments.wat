;; class: too many data segments
;; what: fifty thousand and one
;; generate: data-segments 50001
;; expect_load: module_too_large
;; unwires: ceilings
