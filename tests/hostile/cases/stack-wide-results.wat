;; class: results that step over the guard page
;; what: a call with a thousand results on the last of the stack
;; generate: deep-call 0 1000
;; compilers: singlepass
;; expect_load: module_too_large
;; unwires: frames
