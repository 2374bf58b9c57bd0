//! Events that wait take no thread and no instance, and are none the worse for it.

mod common;

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::task::{Context, Waker};
use std::thread::{self, ThreadId};
use std::time::{Duration, Instant};

use bytes::Bytes;
use cis_wasm_host::{AiBackend, AiReply, AiRequest, BackendError, Host, InMemory, Journal, Resource};
use cis_wasm_runtime::{Compiler, Outcome, WasmInstance, WasmRuntime};
use common::waiting::{LateAi, all, asking, load, thinking};
use common::{Guest, module};

#[test]
fn an_event_that_was_put_down_is_none_the_worse() {
    for compiler in Compiler::ALL {
        for work in [1, 200_000] {
            let ai = LateAi::default();
            ai.answer_all();
            let skill = load(&asking(work, &ai), *compiler);
            let held = skill.run_with("go", b"twenty calls in a row", Journal::record());
            let asked = ai.0.asked.load(Ordering::SeqCst);
            assert_eq!(asked, 21);
            let event = skill.handle_with("go", Bytes::from("twenty calls in a row"), Journal::record());
            let parked = all(vec![event], |_| {}).remove(0);
            assert_eq!(ai.0.asked.load(Ordering::SeqCst), 2 * asked);
            assert_eq!(parked.result.unwrap(), held.result.unwrap());
            assert_eq!(parked.log, held.log);
            assert_eq!(parked.receipt.ledger, held.receipt.ledger);
            assert_eq!(
                (parked.receipt.fuel, parked.receipt.memory_bytes),
                (held.receipt.fuel, held.receipt.memory_bytes)
            );
            assert_eq!(parked.journal.entries(), held.journal.entries());
        }
    }
}

#[test]
fn an_event_that_waits_twenty_times_does_its_work_twice_at_the_most() {
    for compiler in Compiler::ALL {
        for work in [10, 1_000, 20_000, 500_000] {
            let ai = LateAi::default();
            ai.answer_all();
            let skill = load(&thinking(work, &ai), *compiler);
            for data in [&b"twenty calls in a row"[..], b"seven"] {
                let held = skill.run_with("go", data, Journal::record());
                let before = skill.repeated_fuel();
                let event = skill.handle_with("go", Bytes::from(data), Journal::record().traced());
                let parked = all(vec![event], |_| {}).remove(0);
                same(&parked, &held);
                assert!(held.result.is_ok(), "{:?}", held.result);
                let rests = parked.journal.trace().unwrap().rests();
                assert!(rests.len() >= data.len() && rests.iter().all(|rest| rest.caught_up.is_some()), "{rests:?}");
                // A slice of fuel at the beginning, and all of the work once more.
                let (repeated, fuel) = (skill.repeated_fuel() - before, held.receipt.fuel);
                assert!(repeated <= fuel + 500_000, "{repeated} beside {fuel}, {}", compiler.name());
                if work >= 20_000 && data.len() > 20 {
                    assert!(repeated < fuel / 2, "{repeated} beside {fuel}, {}", compiler.name());
                }
            }
        }
    }
}

#[track_caller]
fn same(parked: &Outcome, held: &Outcome) {
    let ended = |outcome: &Outcome| outcome.result.as_ref().map_err(ToString::to_string).cloned();
    assert_eq!(ended(parked), ended(held));
    assert_eq!(parked.log, held.log);
    assert_eq!(parked.receipt.ledger, held.receipt.ledger);
    assert_eq!((parked.receipt.fuel, parked.receipt.memory_bytes), (held.receipt.fuel, held.receipt.memory_bytes));
    assert_eq!(parked.journal.entries(), held.journal.entries());
}

#[test]
fn a_journal_that_nobody_asked_for_is_not_in_the_outcome() {
    let ai = LateAi::default();
    ai.answer_all();
    let outcome =
        all(vec![load(&asking(1, &ai), Compiler::Cranelift).handle("go", Bytes::from("ab"))], |_| {}).remove(0);
    assert!(outcome.result.is_ok() && outcome.journal.is_off());
}

#[test]
fn the_deadline_passes_while_an_event_is_down() {
    for compiler in Compiler::ALL {
        for work in [1, 200_000] {
            let ai = LateAi::default();
            let guest = asking(work, &ai).with(|spec| spec.limits.deadline = Duration::from_millis(300));
            let skill = load(&guest, *compiler);
            let outcome = all(vec![skill.handle("go", Bytes::from("abc"))], |_| {}).remove(0);
            let error = outcome.result.unwrap_err();
            assert_eq!(error.code(), "deadline_exceeded");
            assert!(error.to_string().contains("host_ai_chat"), "{error}");
            assert_eq!(outcome.log.len(), 1);
            assert_eq!(outcome.receipt.ledger.used().of(Resource::AiCalls), 1);
            assert!(outcome.receipt.fuel > u64::from(work) && outcome.receipt.wall >= Duration::from_millis(300));
            assert_eq!(ai.0.given_up.load(Ordering::SeqCst), 1, "the call is given up");
        }
    }
}

#[test]
fn the_deadline_passes_while_an_event_comes_back_to_where_it_was() {
    const DEADLINE: Duration = Duration::from_millis(1_500);

    for compiler in Compiler::ALL {
        let ai = LateAi::default();
        // A tenth of a second, after which it logs and stores, and asks.
        let guest = asking(300_000_000, &ai).with(|spec| {
            spec.limits.deadline = DEADLINE;
            spec.limits.fuel = u64::MAX;
        });
        let skill = load(&guest, *compiler);
        let mut event: Pin<Box<dyn Future<Output = Outcome>>> =
            Box::pin(skill.handle_with("go", Bytes::from("abc"), Journal::record()));
        let begin = Instant::now();
        let mut context = Context::from_waker(Waker::noop());
        while ai.waiting() == 0 {
            assert!(event.as_mut().poll(&mut context).is_pending());
            thread::sleep(Duration::from_millis(1));
        }
        while begin.elapsed() < DEADLINE - Duration::from_millis(15) {
            thread::sleep(Duration::from_millis(1));
            assert!(event.as_mut().poll(&mut context).is_pending());
        }
        ai.answer_all();
        let outcome = all(vec![event], |_| {}).remove(0);
        assert_eq!(outcome.result.unwrap_err().code(), "deadline_exceeded");
        // All that it had done is in its receipt, however far it came back.
        let used = outcome.receipt.ledger.used();
        let counted = [Resource::HostCalls, Resource::MemoryWrites, Resource::LogLines, Resource::AiCalls];
        assert_eq!(counted.map(|resource| used.of(resource)), [3, 1, 1, 1]);
        assert_eq!((outcome.log.len(), outcome.journal.entries().len()), (1, 3));
        assert!(outcome.receipt.fuel >= 300_000_000, "{}", outcome.receipt.fuel);
    }
}

#[test]
fn giving_an_event_up_gives_its_call_up() {
    for compiler in Compiler::ALL {
        let ai = LateAi::default();
        let skill = load(&asking(1, &ai), *compiler);
        let mut event: Pin<Box<dyn Future<Output = Outcome>>> = Box::pin(skill.handle("go", Bytes::from("abc")));
        while ai.0.asked.load(Ordering::SeqCst) == 0 {
            assert!(event.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        }
        drop(event);
        // At once, unless a worker has it, which gives it up when it comes to that.
        while ai.0.given_up.load(Ordering::SeqCst) == 0 {
            thread::yield_now();
        }
    }
}

#[test]
fn a_budget_that_ends_while_an_event_is_down_ends_it() {
    for compiler in Compiler::ALL {
        let ai = LateAi::default();
        ai.answer_all();
        let guest = asking(1, &ai);
        let guest = guest.with(|spec| spec.scope.budget = spec.scope.budget.with(Resource::AiCalls, 2));
        let skill = load(&guest, *compiler);
        let held = skill.run("go", b"abc");
        let parked = all(vec![skill.handle("go", Bytes::from("abc"))], |_| {}).remove(0);
        assert_eq!(parked.result.unwrap_err().code(), "out_of_ai_calls");
        assert_eq!(held.result.unwrap_err().code(), "out_of_ai_calls");
        assert_eq!((parked.receipt.ledger, parked.receipt.fuel), (held.receipt.ledger, held.receipt.fuel));
    }
}

#[test]
fn a_backend_may_wait_for_another_skills_event() {
    struct Asks(WasmInstance);

    #[async_trait::async_trait]
    impl AiBackend for Asks {
        async fn chat(&self, request: AiRequest) -> Result<AiReply, BackendError> {
            let outcome = self.0.handle("go", Bytes::from(request.prompt)).await;
            let text = String::from_utf8(outcome.result.unwrap().to_vec()).unwrap();
            Ok(AiReply { text, prompt_tokens: 1, reply_tokens: 1 })
        }
    }

    for compiler in Compiler::ALL {
        let ai = LateAi::default();
        ai.answer_all();
        let inner = load(&asking(1, &ai), *compiler);
        let guest = asking(1, &ai);
        let outer = load(&guest.with(|spec| spec.host = Host::builder().ai(Asks(inner)).build()), *compiler);
        let outcome = all(vec![outer.handle("go", Bytes::from("abc"))], |_| {}).remove(0);
        assert_eq!(outcome.result.unwrap(), "to a");
    }
}

#[test]
fn an_event_within_an_events_call_does_not_begin_on_its_stack() {
    /// Says which thread asked it.
    struct WhichThread(Arc<Mutex<Option<ThreadId>>>);

    #[async_trait::async_trait]
    impl AiBackend for WhichThread {
        async fn chat(&self, _: AiRequest) -> Result<AiReply, BackendError> {
            *self.0.lock().unwrap() = Some(thread::current().id());
            Ok(AiReply { text: "yes".into(), prompt_tokens: 1, reply_tokens: 1 })
        }
    }

    struct Asks(WasmInstance);

    #[async_trait::async_trait]
    impl AiBackend for Asks {
        async fn chat(&self, request: AiRequest) -> Result<AiReply, BackendError> {
            assert_eq!(self.0.handle("go", Bytes::from(request.prompt)).await.result.unwrap(), "yes");
            Ok(AiReply { text: "done".into(), prompt_tokens: 1, reply_tokens: 1 })
        }
    }

    for signals in [true, false] {
        let runtime = WasmRuntime::builder().signals(signals).build().unwrap();
        let load = |host: Host| {
            let guest = asking(1, &LateAi::default()).with(|spec| spec.host = host);
            runtime.load(&guest.wasm, guest.spec).unwrap()
        };
        let asked_on = Arc::new(Mutex::new(None));
        let inner = load(Host::builder().ai(WhichThread(asked_on.clone())).build());
        let outer = load(Host::builder().ai(Asks(inner)).build());
        assert_eq!(outer.run("go", b"a").result.unwrap(), "done");
        assert!(asked_on.lock().unwrap().is_some_and(|asked| asked != thread::current().id()), "signals: {signals}");
    }
}

/// Asks the AI, with a call that is refused before and after each: a key that is not UTF-8, a prompt that is too long. Ends
/// with the last refusal's status.
fn refused(ai: &LateAi) -> Guest {
    let guest = module(
        r#"(module
        (import "env" "host_ai_chat" (func $ask (param i32 i32) (result i64)))
        (import "env" "host_memory_get" (func $get (param i32 i32) (result i64)))
        (memory (export "memory") 40) (data (i32.const 0) "\ff\fe")
        (func (export "skill_on_event") (param i32 i32) (param $data i32) (param $len i32) (result i64) (local $left i32)
          (local.set $left (i32.const 3))
          (loop
            (drop (call $get (i32.const 0) (i32.const 2)))
            (drop (call $ask (local.get $data) (local.get $left)))
            (drop (call $ask (i32.const 0) (i32.const 1048577)))
            (br_if 0 (local.tee $left (i32.sub (local.get $left) (i32.const 1)))))
          (call $get (i32.const 0) (i32.const 2))))"#,
    );
    guest.with(|spec| {
        spec.scope.grants.ai = true;
        spec.limits.deadline = Duration::from_secs(3600);
        spec.host = Host::builder().memory(InMemory::new()).ai(ai.clone()).build();
    })
}

#[test]
fn calls_that_are_refused_are_counted_once() {
    for compiler in Compiler::ALL {
        let ai = LateAi::default();
        ai.answer_all();
        let skill = load(&refused(&ai), *compiler);
        let traced = || Journal::record().traced();
        let held = skill.run_with("go", b"why", traced());
        let parked = all(vec![skill.handle_with("go", Bytes::from("why"), traced())], |_| {}).remove(0);
        let refused = |outcome: &Outcome| -> Vec<(usize, &'static str, &'static str)> {
            let refused = outcome.journal.trace().unwrap().refused().iter();
            refused.map(|refused| (refused.before, refused.call, refused.status.name())).collect()
        };
        let (key, prompt) = (("host_memory_get", "not_utf8"), ("host_ai_chat", "too_large"));
        let expected = [(0, key), (1, prompt), (1, key), (2, prompt), (2, key), (3, prompt), (3, key)];
        assert_eq!(refused(&held), expected.map(|(before, (call, status))| (before, call, status)));
        assert_eq!(refused(&parked), refused(&held));
        let replayed = skill.run_with("go", b"why", Journal::replay(held.journal.entries().to_vec()));
        assert_eq!(held.receipt.ledger.used().of(Resource::HostCalls), 10);
        assert_eq!(held.journal.entries().len(), 3);
        let error = held.result.unwrap_err();
        assert_eq!(error.code(), "not_utf8", "{error}");
        for again in [parked, replayed] {
            assert_eq!(again.result.unwrap_err().kind(), error.kind());
            assert_eq!((again.receipt.ledger, again.receipt.fuel), (held.receipt.ledger, held.receipt.fuel));
        }
    }
}
