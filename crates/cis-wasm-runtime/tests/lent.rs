//! How much of an event runs on the thread that polls its future: nothing of one that nobody knows, or where what comes with it
//! takes long, and not much more than they used of one that is like others that were brief.

#![cfg(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64")))]

mod common;

use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::thread::{self, ThreadId};

use async_trait::async_trait;
use bytes::Bytes;
use cis_wasm_host::{AiBackend, AiReply, AiRequest, BackendError, Host};
use cis_wasm_runtime::{Compiler, Outcome, WasmInstance};
use common::waiting::all;
use common::{Guest, module};

/// The least fuel of an event that begins on a thread that is not ours, with its last payment.
const A_LITTLE: u64 = 2_000;

/// A guest of so many pages that does its work as often as the event's data says, and then says what came of it.
fn working(pages: u32, work: &str) -> Guest {
    module(&format!(
        r#"(module (memory (export "memory") {pages})
            (func $deep (param i32) (result i32)
              (if (result i32) (local.get 0)
                (then (i32.add (i32.const 1) (call $deep (i32.sub (local.get 0) (i32.const 1)))))
                (else (i32.const 0))))
            (func (export "skill_on_event") (param i32 i32 i32 i32) (result i64) (local $n i32) (local $sum i32)
              (local.set $n (i32.load (local.get 2)))
              (loop $again {work}
                (br_if $again (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))
              (i32.store (i32.const 8) (local.get $sum)) (i64.const 0x400000008)))"#
    ))
    .with(|spec| spec.limits.fuel = u64::MAX)
}

const ADDS: &str = "(local.set $sum (i32.add (i32.xor (local.get $sum) (local.get $n)) (i32.const 3)))";
/// Writes to another page each time, of 1,000.
const WRITES: &str =
    "(i32.store offset=65536 (i32.mul (i32.rem_u (local.get $n) (i32.const 1000)) (i32.const 4096)) (local.get $n))";

fn handle(skill: &WasmInstance, kind: &str, times: u32) -> impl Future<Output = Outcome> + use<> {
    skill.handle(kind, Bytes::copy_from_slice(&times.to_le_bytes()))
}

/// Has an event handled to its end, and says whether that was so when its future was polled once. On a busy machine, a worker
/// may have been as quick, or what is short have been taken for long.
fn at_once(skill: &WasmInstance, kind: &str, times: u32) -> bool {
    let mut event = Box::pin(handle(skill, kind, times));
    let polled = event.as_mut().poll(&mut Context::from_waker(Waker::noop()));
    let (outcome, at_once) = match polled {
        Poll::Ready(outcome) => (outcome, true),
        Poll::Pending => (all(vec![event], |_| {}).remove(0), false),
    };
    outcome.result.unwrap();
    at_once
}

/// Has an event handled to its end, and says how much fuel was used for it in vain.
fn in_vain(skill: &WasmInstance, kind: &str, times: u32) -> u64 {
    let before = skill.repeated_fuel();
    at_once(skill, kind, times);
    skill.repeated_fuel() - before
}

/// Sends events until they are known to be brief: one ends at once.
#[track_caller]
fn teach(skill: &WasmInstance, kind: &str, times: u32) {
    let brief = || at_once(skill, kind, times) && in_vain(skill, kind, times) == 0;
    assert!((0..2_000).any(|_| brief()), "they are never begun and ended where they are sent");
}

/// The fuel that is used in vain for an event, after others were brief that do their work so often.
#[track_caller]
fn in_vain_after(brief: u32, skill: &WasmInstance, kind: &str, times: u32) -> u64 {
    // On a busy machine, the last of them may have been taken for long, so that this one goes to a worker at once.
    let mut tried = (0..100).map(|_| {
        teach(skill, kind, brief);
        in_vain(skill, kind, times)
    });
    tried.find(|fuel| *fuel > 0).expect("none begins where it is sent")
}

#[test]
fn an_event_that_nobody_knows_does_not_begin_there() {
    let works = [
        (1_000_000, ADDS),
        (1_000_000, "(local.set $sum (i32.div_u (i32.const -1) (i32.or (local.get $sum) (i32.const 1))))"),
        (1_000, "(local.set $sum (i32.add (local.get $sum) (call $deep (i32.const 3000))))"),
        (10_000, "(memory.fill (i32.const 65536) (local.get $n) (i32.const 10000))"),
        (100_000, WRITES),
    ];
    for compiler in Compiler::ALL {
        for (times, work) in works {
            let skill = working(96, work).load(*compiler).unwrap();
            for _ in 0..2 {
                let sent = all(vec![Box::pin(handle(&skill, "test", times))], |_| {}).remove(0);
                assert_eq!(skill.repeated_fuel(), 0, "{}, {work}", compiler.name());
                let held = skill.run("test", &u32::to_le_bytes(times));
                assert_eq!(sent.result.unwrap(), held.result.unwrap());
                assert_eq!(sent.receipt.fuel, held.receipt.fuel);
            }
        }
    }
}

#[test]
fn an_event_like_others_that_were_brief_is_not() {
    for compiler in Compiler::ALL {
        let skill = working(1, ADDS).load(*compiler).unwrap();
        let repeated = in_vain_after(10, &skill, "test", 2_000);
        assert!((1..=A_LITTLE).contains(&repeated), "{repeated}, {}", compiler.name());
        // Those of another type are not like them.
        assert_eq!(in_vain(&skill, "other", 3_000_000), 0, "{}", compiler.name());
        // Nor is one that needs much more than they did, for all that they are of one type.
        let most = skill.run("test", &2_000_u32.to_le_bytes()).receipt.fuel;
        let repeated = in_vain_after(2_000, &skill, "test", 3_000_000);
        assert!((1..=2 * most).contains(&repeated), "{repeated} where {most} were used before, {}", compiler.name());
    }
}

#[test]
fn pages_that_take_long_to_write_to_are_not_written_on_the_senders_thread() {
    for compiler in Compiler::ALL {
        let ended = Noting::default();
        let skill = paging(&ended).load(*compiler).unwrap();
        let here = |kind: &str, pages: u32| {
            at_once(&skill, kind, pages);
            ended.0.lock().unwrap().take() == Some(thread::current().id())
        };
        assert!((0..2_000).any(|_| here("test", 1_000)), "none ends here, {}", compiler.name());
        // With enough fuel, it is stopped for its time.
        assert!(!here("test", WRITING | 1_000), "{}", compiler.name());
        // An instance with so many noted pages would keep the thread by being set back, so nothing runs on it there. Once in a
        // while its pages are forgotten.
        let elsewhere = (0..10).any(|_| {
            assert!(!here("test", WRITING | 1_000), "{}", compiler.name());
            let before = skill.repeated_fuel();
            !here("other", 1) && skill.repeated_fuel() == before
        });
        assert!(elsewhere, "{}", compiler.name());
    }
}

/// Has an event of this data write and not read.
const WRITING: u32 = 1 << 16;

/// Reads from as many pages as the event's data says, or writes to them. Then it asks the AI.
fn paging(ai: &Noting) -> Guest {
    module(
        r#"(module (import "env" "host_ai_chat" (func $ask (param i32 i32) (result i64)))
            (memory (export "memory") 96)
            (func (export "skill_on_event") (param i32 i32 i32 i32) (result i64) (local $n i32) (local $at i32)
              (local.set $n (i32.load16_u (local.get 2)))
              (loop $again
                (local.set $at (i32.mul (local.get $n) (i32.const 4096)))
                (if (i32.load16_u offset=2 (local.get 2))
                  (then (i32.store offset=65536 (local.get $at) (local.get $n)))
                  (else (drop (i32.load offset=65536 (local.get $at)))))
                (br_if $again (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))
              (call $ask (local.get 0) (local.get 1))))"#,
    )
    .with(|spec| {
        spec.scope.grants.ai = true;
        spec.host = Host::builder().ai(ai.clone()).build();
    })
}

/// Notes on which thread it is asked, and answers.
#[derive(Clone, Default)]
struct Noting(Arc<Mutex<Option<ThreadId>>>);

#[async_trait]
impl AiBackend for Noting {
    async fn chat(&self, _: AiRequest) -> Result<AiReply, BackendError> {
        *self.0.lock().unwrap() = Some(thread::current().id());
        Ok(AiReply { text: "noted".into(), prompt_tokens: 1, reply_tokens: 1 })
    }
}

#[test]
fn memory_that_nobody_looked_at_is_looked_at_elsewhere() {
    for compiler in Compiler::ALL {
        // Where the last event that taught was taken for long, the next one does not begin.
        let repeated = (0..20).map(|_| in_vain_on_another(*compiler, true)).find(|fuel| *fuel > 0);
        let repeated = repeated.expect("it ends where nobody looked at memory");
        assert!(repeated <= A_LITTLE, "{repeated}, {}", compiler.name());
    }
}

#[test]
fn no_instance_is_made_on_the_senders_thread() {
    for compiler in Compiler::ALL {
        for _ in 0..5 {
            assert_eq!(in_vain_on_another(*compiler, false), 0, "{}", compiler.name());
        }
    }
}

/// The fuel that is used in vain for an event like others that were brief, when the instance is away that had those; and
/// whether there is another one, that nobody looked at.
fn in_vain_on_another(compiler: Compiler, there_is: bool) -> u64 {
    let gate = Gate::default();
    let asks = r#"(import "env" "host_ai_chat" (func $ask (param i32 i32) (result i64)))
        (memory (export "memory") 96)
        (func (export "skill_on_event") (param $type i32) (param $type_len i32) (param $data i32) (param $len i32)
          (result i64) (local $n i32)
          (local.set $n (i32.load (local.get $data)))
          (if (i32.eqz (local.get $n)) (then (return (call $ask (local.get $data) (local.get $len)))))
          (loop $again (br_if $again (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))
          (i64.const 0))"#;
    let skill = module(&format!("(module {asks})")).with(|spec| {
        spec.scope.grants.ai = true;
        spec.host = Host::builder().ai(gate.clone()).build();
    });
    let skill = skill.load(compiler).unwrap();
    teach(&skill, "test", 2_000);
    thread::scope(|scope| {
        // The instance that was looked at is away.
        let away = scope.spawn(|| skill.run("ask", &0_u32.to_le_bytes()));
        while !gate.0[0].load(Ordering::SeqCst) {
            thread::yield_now();
        }
        if there_is {
            skill.run("test", &2_000_u32.to_le_bytes()).result.unwrap();
        }
        let repeated = in_vain(&skill, "test", 2_000);
        teach(&skill, "test", 2_000);
        gate.0[1].store(true, Ordering::SeqCst);
        assert!(away.join().unwrap().result.is_ok());
        repeated
    })
}

/// Waits until it is told, and then answers.
#[derive(Clone, Default)]
struct Gate(Arc<[AtomicBool; 2]>);

#[async_trait]
impl AiBackend for Gate {
    async fn chat(&self, _: AiRequest) -> Result<AiReply, BackendError> {
        self.0[0].store(true, Ordering::SeqCst);
        while !self.0[1].load(Ordering::SeqCst) {
            thread::yield_now();
        }
        Ok(AiReply { text: "now".into(), prompt_tokens: 1, reply_tokens: 1 })
    }
}
