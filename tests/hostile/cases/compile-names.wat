;; class: section of names too large
;; what: five megabytes of names
;; generate: names-section 5000000
;; expect_load: module_too_large
;; unwires: ceilings
