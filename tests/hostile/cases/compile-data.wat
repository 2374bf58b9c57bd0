;; class: data segments that are copied and copied
;; what: 30 MiB that are in memory from the start, with an instruction that has the module rewritten
;; memory_kib: 30784
;; generate: data 31457280
