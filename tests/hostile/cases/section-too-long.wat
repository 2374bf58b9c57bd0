;; class: malformed sections
;; what: a section that is longer than the module
;; generate: long-section
;; expect_load: invalid_module
