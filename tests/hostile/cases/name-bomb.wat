;; class: function names in errors
;; what: a function of a long name, eight thousand times on the stack when it traps
;; generate: name-bomb 100000 8000
;; expect: trap_unreachable
;; unwires: names
