;; class: section of names that is none
;; what: names of functions that are not there, twice, and cut short
;; generate: bad-names
;; expect: trap_unreachable
