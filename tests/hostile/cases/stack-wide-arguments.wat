;; class: arguments that step over the guard page
;; what: a call with a thousand arguments on the last of the stack
;; generate: deep-call 1000 0
;; compilers: singlepass
;; expect_load: module_too_large
;; unwires: frames
