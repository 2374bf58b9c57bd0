;; class: numbers that never end
;; what: a section whose length is written in a hundred bytes
;; generate: leb-bomb
;; expect_load: invalid_module
