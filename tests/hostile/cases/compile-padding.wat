;; class: padding
;; what: a module as large as one may be, nearly all of it a custom section
;; memory_kib: 128
;; generate: bytes 67108864
