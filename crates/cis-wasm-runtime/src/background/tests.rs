//! What happens while a better code is compiled, with the queue held still so that each moment can be looked at.

use std::sync::Weak;
use std::thread;

use cis_wasm_host::{Host, InMemory, SkillScope};

use super::*;
use crate::cache::{ArtifactCache, CacheOutcome};
use crate::run::{Outcome, WasmInstance};
use crate::runtime::WasmRuntime;
use crate::spec::{LoadSpec, State};
use crate::tier::Tier;
use crate::{Compiler, ErrorKind};

impl Background {
    /// Keeps everything in the queue.
    fn hold(&self) {
        self.shared.queue().held = true;
    }

    fn go_on(&self) {
        let mut queue = self.shared.queue();
        queue.held = false;
        self.shared.serve(queue);
    }
}

const LAST: Tier = Tier::Last { compiler: Compiler::Cranelift };
const FIRST: Tier = Tier::First { compiler: Compiler::Singlepass };

/// Counts its events in a global, does some work with floats, calls and memory, and traps when its event has no data.
const COUNTER: &str = r#"(module
    (import "env" "host_log" (func $log (param i32 i32 i32)))
    (memory (export "memory") 1) (data (i32.const 32) "an event")
    (global $count (mut i32) (i32.const 0))
    (func $fib (param i32) (result i32)
      (if (result i32) (i32.lt_u (local.get 0) (i32.const 2)) (then (local.get 0))
        (else (i32.add (call $fib (i32.sub (local.get 0) (i32.const 1)))
                       (call $fib (i32.sub (local.get 0) (i32.const 2)))))))
    (func (export "skill_init") (result i32) (global.set $count (i32.const 10)) (i32.const 0))
    (func (export "skill_on_event") (param i32 i32 i32 i32) (result i64)
      (call $log (i32.const 1) (i32.const 32) (i32.const 8))
      (if (i32.eqz (local.get 3)) (then unreachable))
      (global.set $count (i32.add (global.get $count) (i32.const 1)))
      (i32.store (i32.const 16) (global.get $count))
      (i32.store (i32.const 20) (call $fib (i32.const 12)))
      (f64.store (i32.const 24) (f64.sqrt (f64.convert_i32_u (global.get $count))))
      (i64.const 0x10_0000_0010)))"#;

fn runtime(compiler: Compiler) -> WasmRuntime {
    WasmRuntime::builder().compiler(compiler).build().unwrap()
}

fn load(runtime: &WasmRuntime, text: &str, state: State) -> WasmInstance {
    let host = Host::builder().memory(InMemory::new()).build();
    let mut spec = LoadSpec::new(SkillScope::new("test".parse().unwrap()), host);
    spec.state = state;
    runtime.load(&wat::parse_str(text).unwrap(), spec).unwrap()
}

/// What does not depend on the time.
fn told(outcome: Outcome) -> impl PartialEq + std::fmt::Debug {
    let receipt = outcome.receipt;
    let result = outcome.result.map_err(|error| (error.code(), error.to_string()));
    (result, outcome.log, receipt.fuel, receipt.ledger, receipt.memory_bytes)
}

/// Waits until a skill has what it will keep. A test that waits here for ever is one that failed.
fn settled(skill: &WasmInstance) -> Tier {
    while matches!(skill.tier(), Tier::First { .. }) {
        thread::yield_now();
    }
    skill.tier()
}

#[test]
fn no_event_can_tell() {
    for state in [State::Fresh, State::Kept] {
        let plain = load(&runtime(Compiler::Cranelift), COUNTER, state);
        assert_eq!(plain.tier(), LAST);
        let tiered = runtime(Compiler::Tiered);
        tiered.background().hold();
        let skill = load(&tiered, COUNTER, state);
        let same = |data: &[u8]| assert_eq!(told(skill.run("test", data)), told(plain.run("test", data)), "{state:?}");
        for data in [&b"1"[..], b"2", b"", b"3", b"4"] {
            assert_eq!(skill.tier(), FIRST);
            same(data);
        }
        tiered.background().go_on();
        assert_eq!(settled(&skill), LAST);
        for data in [&b"5"[..], b"6", b"", b"7", b"8"] {
            same(data);
        }
        assert_eq!(skill.init_log(), plain.init_log());
    }
}

#[test]
fn an_instance_stays_with_the_code_it_was_made_of() {
    let tiered = runtime(Compiler::Tiered);
    tiered.background().hold();
    let skill = load(&tiered, COUNTER, State::Kept);
    let count = |skill: &WasmInstance| skill.run("test", b"x").result.unwrap()[0];
    assert_eq!(count(&skill), 11);
    let first: Weak<Code> = Arc::downgrade(&skill.program().code());
    tiered.background().go_on();
    assert_eq!(settled(&skill), LAST);
    // The same instance: it goes on counting, on code that the skill itself has let go of.
    assert_eq!(count(&skill), 12);
    assert!(first.upgrade().is_some());
    skill.run("test", b"").result.unwrap_err();
    assert_eq!(count(&skill), 11, "the next one");
    assert!(first.upgrade().is_none());
}

#[test]
fn what_does_not_compile_stays_with_the_first_code() {
    let tiered = runtime(Compiler::Tiered);
    tiered.background().hold();
    let skill = load(&tiered, COUNTER, State::Fresh);
    tiered.background().shared.queue().waiting[0].checked.metered.truncate(100);
    tiered.background().go_on();
    let Tier::Stuck { compiler: Compiler::Singlepass, why } = settled(&skill) else { panic!("{}", skill.tier()) };
    assert!(why.contains("was not compiled"), "{why}");
    assert!(skill.run("test", b"x").result.is_ok());
    // The next one is none the worse for it.
    assert_eq!(settled(&load(&tiered, COUNTER, State::Fresh)), LAST);
}

#[test]
fn what_singlepass_does_not_take_is_compiled_at_once() {
    let locals = "i64 ".repeat(500);
    let wide = format!(
        r#"(module (memory (export "memory") 1)
             (func (export "skill_on_event") (param i32 i32 i32 i32) (result i64) (local {locals}) (i64.const 0x10_0000_0001)))"#
    );
    let tiered = runtime(Compiler::Tiered);
    tiered.background().hold();
    let skill = load(&tiered, &wide, State::Fresh);
    assert_eq!(skill.tier(), LAST);
    assert_eq!(skill.run("test", b"").result.unwrap(), [0][..]);
    // What nobody takes is refused as ever.
    let host = Host::builder().build();
    let spec = LoadSpec::new(SkillScope::new("test".parse().unwrap()), host);
    let error = tiered.load(b"\0asm\x01\0\0\0", spec).err().unwrap();
    assert!(matches!(error.kind(), ErrorKind::MissingExport { .. }), "{error}");
}

#[test]
fn nobody_waits_for_what_nobody_wants() {
    let tiered = runtime(Compiler::Tiered);
    tiered.background().hold();
    let gone = load(&tiered, COUNTER, State::Fresh);
    let stays = load(&tiered, COUNTER, State::Fresh);
    drop(gone);
    tiered.background().go_on();
    assert_eq!(settled(&stays), LAST);
    // Given up in the middle: what is asked at every function says no.
    let shape = crate::check::Shape::default();
    let engine = Backend::Cranelift.engine_in_background(stays.limits(), &shape);
    let wasm = wat::parse_str(COUNTER).unwrap();
    let error = Backend::Cranelift.compile_while(&engine, &wasm, || false).unwrap_err();
    assert!(error.to_string().contains("not wanted"), "{error}");
    assert!(Backend::Cranelift.compile_while(&engine, &wasm, || true).is_ok());
    // A runtime that goes takes along what waits.
    tiered.background().hold();
    let waits = load(&tiered, COUNTER, State::Fresh);
    let queue = Arc::downgrade(&tiered.background().shared);
    drop((tiered, stays, waits));
    while queue.upgrade().is_some() {
        thread::yield_now();
    }
}

#[test]
fn there_is_room_for_so_many() {
    let tiered = runtime(Compiler::Tiered);
    tiered.background().hold();
    tiered.background().shared.queue().bytes = MOST_WAITING_BYTES;
    let skill = load(&tiered, COUNTER, State::Fresh);
    assert!(matches!(skill.tier(), Tier::Stuck { why, .. } if why.contains("too many modules")));
    assert!(skill.run("test", b"x").result.is_ok());
}

#[cfg(unix)]
#[test]
fn the_better_code_is_what_a_cache_keeps() {
    let dir = tempfile::tempdir().unwrap();
    let cache = ArtifactCache::open(dir.path()).unwrap();
    let cached = |compiler| WasmRuntime::builder().compiler(compiler).cache(cache.clone()).build().unwrap();
    let tiered = cached(Compiler::Tiered);
    tiered.background().hold();
    let skill = load(&tiered, COUNTER, State::Fresh);
    assert_eq!((skill.tier(), skill.cache_outcome()), (FIRST, CacheOutcome::Miss { stored: false }));
    tiered.background().go_on();
    while skill.cache_outcome() != (CacheOutcome::Miss { stored: true }) {
        thread::yield_now();
    }
    assert_eq!(skill.tier(), LAST);
    for compiler in [Compiler::Tiered, Compiler::Cranelift] {
        let runtime = cached(compiler);
        runtime.background().hold();
        let found = load(&runtime, COUNTER, State::Fresh);
        assert_eq!((found.tier(), found.cache_outcome()), (LAST, CacheOutcome::Hit));
        assert_eq!(told(found.run("test", b"x")), told(skill.run("test", b"x")));
    }
}
