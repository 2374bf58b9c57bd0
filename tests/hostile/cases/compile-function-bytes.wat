;; class: function of too many bytes
;; what: 300 KB of additions in one function
;; generate: function-bytes 300000
;; expect_load: module_too_large
;; unwires: ceilings
