;; class: module of too many bytes
;; what: 64 MiB and one
;; generate: bytes 67108865
;; expect_load: module_too_large
;; unwires: ceilings
