;; class: component instead of a module
;; what: the header of a component
;; generate: component
;; expect_load: invalid_module
