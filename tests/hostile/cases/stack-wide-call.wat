;; class: wide call on the last of the stack
;; what: a thousand arguments where every page is touched
;; generate: deep-call 1000 0
;; compilers: cranelift
;; repeat: 60
;; expect: ok|trap_stack_overflow
