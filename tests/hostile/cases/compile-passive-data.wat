;; class: passive data
;; what: 60 MiB that no memory has to hold
;; memory_kib: 128
;; generate: passive-data 62914560
