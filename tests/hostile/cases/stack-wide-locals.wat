;; class: locals that step over the guard page
;; what: a function with six hundred locals on the last of the stack
;; generate: deep-locals 600
;; compilers: singlepass
;; expect_load: module_too_large
;; unwires: frames
