//! What a fresh skill's event leaves behind: nothing. The same events are sent to instances that are reused, in every
//! order, and to instances that never saw another event.
//!
//! Invariant of the one unsafe block: it changes the signal mask of its own thread.

mod common;

use std::thread;

use cis_wasm_runtime::{Compiler, Outcome, WasmInstance};
use common::{Guest, module};

/// What the probe does for an event: the first byte of its data.
const NOTHING: u8 = b'0';
/// Fills all memory with the second byte.
const FILL: u8 = b'f';
/// Grows by as many pages as the second byte says, then fills all memory with it.
const GROW_AND_FILL: u8 = b'g';
/// Writes a byte to every second page of 4 KiB.
const SCATTER: u8 = b's';
/// Writes to as many pages of 4 KiB in a row as the second byte says.
const ROW: u8 = b'r';
/// Puts other values into all globals.
const GLOBALS: u8 = b'v';
/// Grows, and fills only what was grown.
const GROW_A_LITTLE: u8 = b'l';
/// Writes to all memory, then traps.
const TRAP: u8 = b't';
/// Loads the byte behind the end of memory.
const BEHIND: u8 = b'b';
/// Answers with an error of its own, after filling all memory.
const FAIL: u8 = b'e';

/// A skill that makes a mess, and answers with all there is to see: the length and a hash of memory, and its globals, all as
/// they were when the event began.
fn probe(pages: u32, more: &str) -> Guest {
    module(&format!(
        r#"(module
        (memory (export "memory") {pages})
        (global $a (mut i32) (i32.const 1))
        (global $b (mut i64) (i64.const 2))
        (global $c (export "an_exported_one") (mut f32) (f32.const 3))
        (global $d (mut f64) (f64.const 4))
        (global $len (mut i32) (i32.const 0))
        (func $length (result i32) (i32.mul (memory.size) (i32.const 65536)))
        (func $hash (result i64) (local $at i32) (local $hash i64)
            (if (i32.eqz (memory.size)) (then (return (i64.const 0))))
            (loop $next
                (local.set $hash (i64.add
                    (i64.mul (local.get $hash) (i64.const 6364136223846793005))
                    (i64.load (local.get $at))))
                (local.set $at (i32.add (local.get $at) (i32.const 8)))
                (br_if $next (i32.lt_u (local.get $at) (call $length))))
            (local.get $hash))
        (func $every (param $step i32) (param $pages i32) (local $at i32)
            (loop $next
                (i32.store8 (local.get $at) (i32.const 0x5a))
                (local.set $at (i32.add (local.get $at) (local.get $step)))
                (local.set $pages (i32.sub (local.get $pages) (i32.const 1)))
                (br_if $next (i32.and
                    (i32.lt_u (local.get $at) (call $length))
                    (i32.gt_s (local.get $pages) (i32.const 0))))))
        (func (export "skill_on_event") (param i32 i32) (param $data i32) (param $size i32) (result i64)
            (local $hash i64) (local $op i32) (local $arg i32) (local $a i32) (local $b i64) (local $c f32) (local $d f64)
            (local $length i32) (local $old i32)
            (local.set $hash (call $hash))
            (local.set $length (call $length))
            (local.set $a (global.get $a)) (local.set $b (global.get $b))
            (local.set $c (global.get $c)) (local.set $d (global.get $d))
            (local.set $op (i32.load8_u (local.get $data)))
            (local.set $arg (i32.load8_u offset=1 (local.get $data)))
            (if (i32.eq (local.get $op) (i32.const {FILL}))
                (then (memory.fill (i32.const 0) (local.get $arg) (call $length))))
            (if (i32.eq (local.get $op) (i32.const {GROW_AND_FILL})) (then
                (drop (memory.grow (local.get $arg)))
                (memory.fill (i32.const 0) (local.get $arg) (call $length))))
            (if (i32.eq (local.get $op) (i32.const {GROW_A_LITTLE})) (then
                (local.set $old (call $length))
                (drop (memory.grow (local.get $arg)))
                (memory.fill (local.get $old) (local.get $arg) (i32.sub (call $length) (local.get $old)))))
            (if (i32.eq (local.get $op) (i32.const {SCATTER}))
                (then (call $every (i32.const 8192) (i32.const 0x7fffffff))))
            (if (i32.eq (local.get $op) (i32.const {ROW}))
                (then (call $every (i32.const 4096) (local.get $arg))))
            (if (i32.eq (local.get $op) (i32.const {GLOBALS})) (then
                (global.set $a (i32.const -7)) (global.set $b (i64.const -7))
                (global.set $c (f32.const -7)) (global.set $d (f64.const -7)) (global.set $len (i32.const -7))))
            (if (i32.eq (local.get $op) (i32.const {TRAP})) (then
                (memory.fill (i32.const 0) (i32.const 0x77) (call $length)) unreachable))
            (if (i32.eq (local.get $op) (i32.const {BEHIND}))
                (then (drop (i32.load8_u (call $length)))))
            (if (i32.eq (local.get $op) (i32.const {FAIL})) (then
                (memory.fill (i32.const 0) (i32.const 0x66) (call $length))
                (return (i64.const 5))))
            (i64.store (i32.const 64) (local.get $hash))
            (i32.store (i32.const 72) (local.get $length))
            (i32.store (i32.const 76) (local.get $a))
            (i64.store (i32.const 80) (local.get $b))
            (f32.store (i32.const 88) (local.get $c))
            (f64.store (i32.const 92) (local.get $d))
            (i64.or (i64.shl (i64.const 64) (i64.const 32)) (i64.const 36)))
        {more})"#
    ))
}

/// An allocator at the end of the first page, that never gives anything back.
const BUMP: &str = r#"(global $next (mut i32) (i32.const 32768))
    (func (export "cis_alloc") (param i32) (result i32)
        (global.get $next) (global.set $next (i32.add (global.get $next) (local.get 0))))"#;

/// What two runs have in common when they are the same.
#[derive(Debug, PartialEq)]
struct Seen {
    result: Result<Vec<u8>, String>,
    fuel: u64,
    memory_bytes: u64,
}

fn send(skill: &WasmInstance, event: &[u8]) -> Seen {
    let Outcome { result, receipt, .. } = skill.run("mess", event);
    let result = result.map(|bytes| bytes.to_vec()).map_err(|error| error.to_string());
    Seen { result, fuel: receipt.fuel, memory_bytes: receipt.memory_bytes }
}

/// Sends these events, each after each other one, to reused instances: each comes out as on an instance of its own.
#[track_caller]
fn holds(guest: &Guest, events: &[&[u8]], rounds: usize) {
    for compiler in Compiler::ALL {
        let alone = guest.load_with(*compiler, false).unwrap();
        let reused = guest.load(*compiler).unwrap();
        let expected: Vec<_> = events.iter().map(|event| send(&alone, event)).collect();
        for round in 0..rounds {
            for (event, _) in events.iter().zip(&expected) {
                send(&reused, event);
                // What comes after it differs from round to round.
                let next = (round * 7 + events.len() / 2) % events.len();
                let name = |event: &[u8]| String::from_utf8_lossy(event).into_owned();
                let what = format!("{} after {}, on {}", name(events[next]), name(event), compiler.name());
                assert_eq!(send(&reused, events[next]), expected[next], "{what}");
            }
        }
    }
}

const ALL: &[&[u8]] = &[
    &[NOTHING],
    &[FILL, 0xa5],
    &[GROW_AND_FILL, 3],
    &[GROW_A_LITTLE, 1],
    &[GROW_A_LITTLE, 2],
    &[SCATTER],
    &[ROW, 2],
    &[GLOBALS],
    &[TRAP],
    &[BEHIND],
    &[FAIL],
];

#[test]
fn nothing_is_left_in_the_hosts_arena() {
    holds(&probe(1, ""), ALL, 22);
    holds(&probe(0, "").with(|spec| spec.limits.memory_bytes = 5 << 16), ALL, 3);
}

#[test]
fn nothing_is_left_in_the_guests_own_heap() {
    holds(&probe(2, BUMP), ALL, 22);
}

#[test]
fn nothing_is_left_of_what_the_host_wrote() {
    let long = [vec![NOTHING], vec![0xee; 300_000]].concat();
    holds(&probe(1, ""), &[&long, &[NOTHING], &long[..5_000], &[FILL, 1]], 8);
    let short = &long[..30_000];
    holds(&probe(2, BUMP), &[short, &[NOTHING], &short[..5_000], &[FILL, 1]], 8);
}

#[test]
fn data_segments_are_as_they_were() {
    // One page of data, a file's worth of it, and more stretches than are mapped one by one.
    let text = "canary-".repeat(20);
    holds(&probe(2, &format!(r#"(data (i32.const 5000) "{text}")"#)), ALL, 4);
    let text = "canary-".repeat(20_000);
    holds(&probe(4, &format!(r#"(data (i32.const 4096) "{text}")"#)), ALL, 4);
    let pages: String = (0..40).map(|page| format!(r#"(data (i32.const {}) "canary")"#, 8192 * page)).collect();
    holds(&probe(6, &pages), ALL, 4);
}

#[test]
fn what_starting_up_did_is_there_every_time() {
    let init = r#"(func (export "skill_init") (result i32)
        (drop (memory.grow (i32.const 2)))
        (memory.fill (i32.const 70000) (i32.const 0x11) (i32.const 100000))
        (global.set $a (i32.const 1000)) (global.set $d (f64.const 1e9))
        (i32.const 0))
        (func $start (i32.store (i32.const 200) (i32.const 0x22222222)))
        (start $start)"#;
    holds(&probe(1, init), ALL, 4);
    holds(&probe(1, &format!("{init} {BUMP}")), ALL, 4);
    let open = r#"(func (export "skill_init") (result i32)
        (memory.fill (i32.const 70000) (i32.const 0x11) (i32.const 12000000)) (i32.const 0))"#;
    holds(&probe(200, open), &[&[NOTHING], &[ROW, 3], &[FAIL]], 2);
}

#[test]
fn nothing_is_left_when_memory_was_opened() {
    // More pages than are noted one by one, and more stretches.
    let guest = probe(160, "").with(|spec| spec.limits.fuel = u64::MAX);
    holds(&guest, &[&[FILL, 9], &[NOTHING], &[SCATTER], &[GROW_A_LITTLE, 40], &[ROW, 4]], 3);
    let skill = guest.load(Compiler::default()).unwrap();
    let expected = send(&skill, &[ROW, 4]);
    send(&skill, &[SCATTER]);
    // Past the lesson after which pages are noted one by one again.
    for _ in 0..260 {
        assert_eq!(send(&skill, &[ROW, 4]), expected);
    }
}

#[test]
fn nothing_is_left_over_thousands_of_events() {
    let guest = probe(1, BUMP);
    for compiler in Compiler::ALL {
        let skill = guest.load(*compiler).unwrap();
        let events: [&[u8]; 5] = [&[ROW, 3], &[GLOBALS], &[GROW_A_LITTLE, 1], &[FILL, 200], &[NOTHING]];
        let expected = events.map(|event| send(&skill, event));
        for _ in 0..1_000 {
            for (event, expected) in events.iter().zip(&expected) {
                assert_eq!(&send(&skill, event), expected);
            }
        }
    }
}

#[test]
fn vectors_in_globals_are_set_back() {
    let guest = module(
        r#"(module (memory (export "memory") 1)
            (global $v (mut v128) (v128.const i64x2 1 2))
            (func (export "skill_on_event") (param i32 i32 i32 i32) (result i64)
                (v128.store (i32.const 64) (global.get $v))
                (global.set $v (v128.const i64x2 -1 -1))
                (i64.or (i64.shl (i64.const 64) (i64.const 32)) (i64.const 16))))"#,
    );
    // Singlepass has no vectors.
    let skill = guest.load(Compiler::Cranelift).unwrap();
    for _ in 0..3 {
        let answer = skill.run("", b"").result.unwrap();
        assert_eq!(answer, [1_u64.to_le_bytes(), 2_u64.to_le_bytes()].concat());
    }
}

/// A skill whose events count in this place: the body leaves what is there, and adds one to it.
fn counts(fields: &str, body: &str) -> Guest {
    module(&format!(
        r#"(module (memory (export "memory") 1) {fields}
            (func (export "skill_on_event") (param i32 i32 i32 i32) (result i32) {body}))"#
    ))
}

#[test]
fn tables_and_segments_are_as_they_were() {
    // Each of these answers 0 for the first event of an instance, and fails for a second.
    let skills = [
        counts(
            "(table $t 1 4 funcref)",
            "(table.size $t) (drop (table.grow $t (ref.null func) (i32.const 1))) (i32.const 1) i32.sub",
        ),
        counts(
            "(table $t 1 funcref) (elem declare func $f) (func $f)",
            "(i32.eqz (ref.is_null (table.get $t (i32.const 0)))) (table.set $t (i32.const 0) (ref.func $f))",
        ),
        counts(
            "(table $t 1 funcref) (elem declare func $f) (func $f)",
            "(i32.eqz (ref.is_null (table.get $t (i32.const 0))))
             (table.fill $t (i32.const 0) (ref.func $f) (i32.const 1))",
        ),
        counts(
            "(table $t 2 funcref) (elem (table $t) (i32.const 0) func $f) (func $f)",
            "(i32.eqz (ref.is_null (table.get $t (i32.const 1))))
             (table.copy $t $t (i32.const 1) (i32.const 0) (i32.const 1))",
        ),
        counts(
            "(table $t 1 funcref) (elem $e func $f) (func $f)",
            "(i32.eqz (ref.is_null (table.get $t (i32.const 0))))
             (table.init $t $e (i32.const 0) (i32.const 0) (i32.const 1))",
        ),
        counts(
            "(global $g (mut funcref) (ref.null func)) (elem declare func $f) (func $f)",
            "(i32.eqz (ref.is_null (global.get $g))) (global.set $g (ref.func $f))",
        ),
        counts(
            r#"(data $d "x")"#,
            "(memory.init $d (i32.const 100) (i32.const 0) (i32.const 1)) (data.drop $d)
             (i32.sub (i32.load8_u (i32.const 100)) (i32.const 120))",
        ),
        counts(
            "(table $t 1 funcref) (elem $e func $f) (func $f)",
            "(table.init $t $e (i32.const 0) (i32.const 0) (i32.const 1)) (elem.drop $e) (i32.const 0)",
        ),
    ];
    for skill in skills {
        skill.loaded(|instance| {
            for _ in 0..3 {
                assert_eq!(instance.run("", b"").result.unwrap(), "");
            }
        });
    }
}

#[test]
fn a_passive_segment_can_be_used_by_every_event() {
    counts(
        r#"(data $d "xyz")"#,
        "(i32.load8_u (i32.const 100))
         (memory.init $d (i32.const 100) (i32.const 0) (i32.const 3))
         (i32.add (i32.sub (i32.load8_u (i32.const 102)) (i32.const 122)))",
    )
    .loaded(|instance| {
        for _ in 0..5 {
            assert_eq!(instance.run("", b"").result.unwrap(), "");
        }
    });
}

#[test]
fn events_side_by_side_see_nothing_of_each_other() {
    for compiler in Compiler::ALL {
        let skill = probe(2, BUMP).load(*compiler).unwrap();
        let expected = send(&skill, &[NOTHING]);
        thread::scope(|scope| {
            for canary in 0..8 {
                let (skill, expected) = (&skill, &expected);
                scope.spawn(move || {
                    for _ in 0..200 {
                        send(skill, &[FILL, canary + 100]);
                        assert_eq!(&send(skill, &[NOTHING]), expected);
                        send(skill, &[GROW_A_LITTLE, canary]);
                    }
                });
            }
        });
    }
}

#[cfg(unix)]
#[test]
fn a_thread_may_have_all_signals_blocked() {
    let guest = probe(1, "");
    let skill = guest.load(Compiler::default()).unwrap();
    let expected = send(&guest.load_with(Compiler::default(), false).unwrap(), &[NOTHING]);
    let run = move || {
        let mut all = std::mem::MaybeUninit::uninit();
        // SAFETY: the set is initialised by the first call; only this thread's mask is changed.
        unsafe {
            libc::sigfillset(all.as_mut_ptr());
            libc::pthread_sigmask(libc::SIG_SETMASK, all.as_ptr(), std::ptr::null_mut());
        }
        assert_eq!(send(&skill, &[NOTHING]), expected);
        assert!(send(&skill, &[BEHIND]).result.unwrap_err().contains("out of bounds"));
        assert_eq!(send(&skill, &[NOTHING]), expected);
    };
    thread::spawn(run).join().unwrap();
}
