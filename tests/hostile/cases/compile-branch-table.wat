;; class: branch table of too many targets
;; what: twenty thousand and one
;; generate: branch-table 20001
;; expect_load: module_too_large
;; unwires: ceilings
