;; class: blocks nested too deep
;; what: three thousand blocks in one another
;; generate: nesting 3000
;; expect_load: module_too_large
;; unwires: ceilings
