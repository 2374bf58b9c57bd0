;; class: two exports of one name
;; what: skill_init stands there twice
;; generate: duplicate-exports
;; expect_load: invalid_module
;; unwires: exports
