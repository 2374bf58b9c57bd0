;; class: memory grown page by page
;; what: as many pages as there are, all of them written
;; expect: ok
;; unwires: memory
(module
  (memory (export "memory") 1)
  (func (export "skill_on_event") (param $type i32) (param $type_len i32) (param $data i32) (param $len i32)
    (result i32)
    (loop $more
    (br_if $more (i32.ne (memory.grow (i32.const 1)) (i32.const -1))))
    (memory.fill (i32.const 0) (i32.const 7) (i32.shl (memory.size) (i32.const 16)))
    (i32.gt_u (memory.size) (i32.const 64))))
