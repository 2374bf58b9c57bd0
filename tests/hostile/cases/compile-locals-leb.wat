;; class: locals counted beyond all bounds
;; what: four billion locals in five bytes
;; generate: locals 4294967295
;; expect_load: module_too_large
