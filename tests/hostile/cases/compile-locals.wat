;; class: function of too many locals
;; what: ten thousand and one
;; generate: locals 10001
;; expect_load: module_too_large
