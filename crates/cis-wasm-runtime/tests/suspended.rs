//! Events that wait more than once go on where they were, and are none the worse for it: what comes of them is what comes of
//! those that hold their thread.

mod common;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Wake, Waker};
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use cis_wasm_host::{Host, InMemory, Journal, Resource};
use cis_wasm_runtime::{Compiler, Outcome, WasmInstance, WasmRuntime};
use common::Guest;
use common::waiting::{LateAi, TWENTY, all, load_on, module_asking, suspending, thinking};

/// A skill on a runtime where every event is suspended that waits a second time.
#[track_caller]
fn load(guest: &Guest, compiler: Compiler) -> WasmInstance {
    load_on(suspending(compiler), guest)
}

/// An event of it, held and parked: how much of it was repeated, in thousandths.
#[track_caller]
fn the_same(skill: &WasmInstance, data: &'static [u8]) -> (Outcome, u64) {
    let held = skill.run_with("go", data, Journal::record());
    let before = skill.repeated_fuel();
    let parked = all(vec![skill.handle_with("go", Bytes::from(data), Journal::record())], |_| {}).remove(0);
    same(&parked, &held);
    (parked, (skill.repeated_fuel() - before) * 1_000 / held.receipt.fuel.max(1))
}

#[track_caller]
fn same(parked: &Outcome, held: &Outcome) {
    // With the frames of a trap.
    let ended = |outcome: &Outcome| outcome.result.as_ref().map_err(|error| error.kind().clone()).cloned();
    assert_eq!(ended(parked), ended(held));
    assert_eq!(parked.log, held.log);
    assert_eq!(parked.receipt.ledger, held.receipt.ledger);
    assert_eq!((parked.receipt.fuel, parked.receipt.memory_bytes), (held.receipt.fuel, held.receipt.memory_bytes));
    assert_eq!(parked.journal.entries(), held.journal.entries());
}

#[test]
fn what_traps_after_a_wait_traps_the_same() {
    // Each with a recursion around it, so that there are frames.
    for (code, trap) in [
        ("trap_unreachable", "unreachable"),
        ("trap_out_of_bounds", "(drop (i32.load (i32.const 0x7fff0000)))"),
        ("trap_out_of_bounds", "(memory.fill (i32.const 0x7fff0000) (i32.const 0) (i32.const 10))"),
        ("trap_division_by_zero", "(drop (i32.div_u (i32.const 1) (i32.load (i32.const 32))))"),
        (
            "trap_overflow",
            "(drop (i32.div_s (i32.const 0x80000000) (i32.sub (i32.load (i32.const 32)) (i32.const 1))))",
        ),
        ("trap_bad_conversion", "(drop (i32.trunc_f32_s (f32.const nan)))"),
        ("trap_stack_overflow", "(call $deeper)"),
        ("trap_null_call", "(call_indirect (param) (i32.load (i32.const 32)))"),
        ("bad_pointer", "(drop (call $ask (i32.const -1) (i32.const 9)))"),
        ("out_of_fuel", "(loop (br 0))"),
        ("skill_failed", "(global.set $answer (i32.const -3))"),
        ("out_of_ai_calls", "(loop (drop (call $ask (i32.const 0) (i32.const 3))) (br 0))"),
    ] {
        let text = format!(
            r#"(table 2 funcref) (global $answer (mut i32) (i32.const 0))
               (func $deeper (call $deeper) (call $deeper))
               (func $end (param i32)
                 (if (local.get 0) (then (call $end (i32.sub (local.get 0) (i32.const 1))) (return)))
                 {trap})
               (func (export "skill_on_event") (param i32 i32 i32 i32) (result i32)
                 (drop (call $ask (local.get 2) (local.get 3)))
                 (drop (call $ask (local.get 2) (local.get 3)))
                 (call $end (i32.const 3))
                 (global.get $answer))"#
        );
        let guest = module_asking(&text, &LateAi::answering()).with(|spec| {
            spec.limits.fuel = 3_000_000;
            spec.scope.budget = spec.scope.budget.with(Resource::AiCalls, 5);
        });
        for compiler in Compiler::ALL {
            for signals in [true, false] {
                let skill = load_on(suspending(*compiler).signals(signals), &guest);
                for _ in 0..3 {
                    let held = skill.run_with("go", b"data", Journal::record());
                    let event = skill.handle_with("go", Bytes::from("data"), Journal::record());
                    let parked = all(vec![event], |_| {}).remove(0);
                    let ended = |outcome: &Outcome| match &outcome.result {
                        Ok(_) => "answered",
                        Err(error) => error.code(),
                    };
                    assert_eq!((ended(&held), ended(&parked)), (code, code), "{trap}: {:?}", parked.result);
                    if code != "trap_stack_overflow" {
                        same(&parked, &held);
                    }
                }
            }
        }
    }
}

#[test]
fn an_event_on_the_engines_own_stack_and_one_that_waits_find_the_same_instances() {
    for compiler in Compiler::ALL {
        for signals in [true, false] {
            for reuse in [true, false] {
                let runtime = WasmRuntime::builder().compiler(*compiler).workers(2).signals(signals).reuse(reuse);
                let skill = load_on(runtime.repeated_fuel(0), &thinking(1_000, &LateAi::answering()));
                for _ in 0..3 {
                    let (_, repeated) = the_same(&skill, TWENTY);
                    // Where instances are not used again, an event is run again each time. Otherwise at the most what takes long
                    // on a thread that is not ours is done again, once.
                    assert!(if reuse { repeated < 1_300 } else { repeated > 3_000 }, "{repeated}, reuse: {reuse}");
                }
            }
        }
    }
}

#[test]
fn many_events_at_once_come_out_the_same() {
    const EVENTS: usize = 40;
    for compiler in Compiler::ALL {
        let skill = load(&thinking(3_000, &LateAi::answering()), *compiler);
        let data: Vec<Bytes> =
            (0..EVENTS).map(|event| Bytes::from(vec![b'a' + event as u8 % 26; 1 + event % 12])).collect();
        let held: Vec<Outcome> = data.iter().map(|data| skill.run_with("go", data, Journal::record())).collect();
        // From several threads, and on the workers.
        thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    let events = data.iter().map(|data| skill.handle_with("go", data.clone(), Journal::record()));
                    for (parked, held) in all(events.collect(), |_| {}).iter().zip(&held) {
                        same(parked, held);
                    }
                });
            }
        });
    }
}

#[test]
fn without_room_events_are_run_again() {
    for compiler in Compiler::ALL {
        let runtime = || suspending(*compiler);
        let guest = thinking(1_000, &LateAi::answering());
        let (_, repeated) = the_same(&load_on(runtime().max_checkpoint_bytes(0), &guest), TWENTY);
        assert!(repeated > 3_000, "{repeated}");
        // One that writes more than is worth keeping.
        let large = module_asking(
            r#"(func (export "skill_on_event") (param i32 i32 i32 i32) (result i32) (local $left i32)
                 (drop (memory.grow (i32.const 100)))
                 (memory.fill (i32.const 65536) (i32.const 7) (i32.const 6500000))
                 (local.set $left (i32.const 4))
                 (loop
                   (drop (call $ask (local.get 2) (local.get 3)))
                   (br_if 0 (local.tee $left (i32.sub (local.get $left) (i32.const 1)))))
                 (i32.const 0))"#,
            &LateAi::answering(),
        );
        let (_, repeated) = the_same(&load_on(runtime(), &large), b"data");
        assert!(repeated > 2_000, "{repeated}");
    }
}

/// An event in which so many calls wait for the AI.
fn waiting_event(skill: &WasmInstance, ai: &LateAi, calls: usize) -> Pin<Box<dyn Future<Output = Outcome>>> {
    let mut event: Pin<Box<dyn Future<Output = Outcome>>> =
        Box::pin(skill.handle_with("go", Bytes::from(TWENTY), Journal::record()));
    let waker = Waker::from(Arc::new(Thread(thread::current())));
    let before = ai.0.asked.load(Ordering::SeqCst);
    loop {
        assert!(event.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
        match ai.0.asked.load(Ordering::SeqCst) - before {
            asked if asked < calls => ai.answer_once(),
            // Until the worker has given it up.
            _ if ai.waiting() > 0 => break,
            _ => thread::yield_now(),
        }
    }
    // Whatever is on its way arrives.
    for _ in 0..50 {
        thread::sleep(Duration::from_millis(1));
        assert!(event.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    }
    event
}

struct Thread(thread::Thread);

impl Wake for Thread {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

#[test]
fn what_is_kept_can_be_given_up() {
    for compiler in Compiler::ALL {
        let ai = LateAi::default();
        let guest = thinking(1_000, &ai);
        let runtime = WasmRuntime::builder().compiler(*compiler).workers(1).repeated_fuel(0).build().unwrap();
        let skill = runtime.load(&guest.wasm, guest.spec.clone()).unwrap();
        let event = waiting_event(&skill, &ai, 10);
        let before = skill.repeated_fuel();
        assert!(runtime.checkpoint_bytes() > 4_096, "{}", runtime.checkpoint_bytes());
        runtime.release_idle();
        assert_eq!(runtime.checkpoint_bytes(), 0);
        ai.answer_all();
        let parked = all(vec![event], |_| {}).remove(0);
        assert!(skill.repeated_fuel() > before, "it was run again from its start");
        same(&parked, &skill.run_with("go", TWENTY, Journal::record()));
    }
}

#[test]
fn an_event_outlives_every_handle_while_it_waits() {
    for compiler in Compiler::ALL {
        let ai = LateAi::default();
        let skill = load(&thinking(1_000, &ai), *compiler);
        let event = waiting_event(&skill, &ai, 5);
        drop(skill);
        ai.answer_all();
        let outcome = all(vec![event], |_| {}).remove(0);
        assert!(outcome.result.is_ok(), "{:?}", outcome.result);
        assert_eq!(outcome.journal.entries().len(), 3 * TWENTY.len());
    }
}

#[test]
fn giving_an_event_up_gives_all_of_it_up() {
    for compiler in Compiler::ALL {
        let ai = LateAi::default();
        let guest = thinking(1_000, &ai);
        let runtime = suspending(*compiler).build().unwrap();
        let skill = runtime.load(&guest.wasm, guest.spec.clone()).unwrap();
        let given_up = ai.0.given_up.load(Ordering::SeqCst);
        let event = waiting_event(&skill, &ai, 5);
        assert!(runtime.checkpoint_bytes() > 0);
        drop(event);
        assert_eq!(runtime.checkpoint_bytes(), 0);
        assert_eq!(ai.0.given_up.load(Ordering::SeqCst), given_up + 1);
        ai.answer_all();
        the_same(&skill, TWENTY);
    }
}

#[test]
fn the_deadline_holds_while_an_event_is_suspended_and_when_it_goes_on() {
    for compiler in Compiler::ALL {
        // While it waits, from the second time on.
        let ai = LateAi::default();
        let guest = thinking(1_000, &ai).with(|spec| spec.limits.deadline = Duration::from_millis(500));
        let event = waiting_event(&load(&guest, *compiler), &ai, 3);
        let error = all(vec![event], |_| {}).remove(0).result.unwrap_err();
        assert_eq!(error.code(), "deadline_exceeded");
        assert!(error.to_string().contains("host_ai_chat"), "{error}");
        // In guest code that goes on: it is stopped by the signal, or asks for the time.
        let text = r#"(func (export "skill_on_event") (param i32 i32 i32 i32) (result i32)
            (drop (call $ask (local.get 2) (local.get 3)))
            (drop (call $ask (local.get 2) (local.get 3)))
            (loop (br 0)) (i32.const 0))"#;
        let guest = module_asking(text, &LateAi::answering()).with(|spec| {
            spec.limits.deadline = Duration::from_millis(300);
            spec.limits.fuel = u64::MAX;
        });
        for signals in [true, false] {
            let runtime = suspending(*compiler).signals(signals);
            let skill = load_on(runtime, &guest);
            let outcome = all(vec![skill.handle("go", Bytes::from("data"))], |_| {}).remove(0);
            assert_eq!(outcome.result.unwrap_err().code(), "deadline_exceeded");
            assert!(outcome.receipt.wall >= Duration::from_millis(300));
        }
    }
}

#[test]
fn an_event_is_cancelled_in_the_guest_code_that_goes_on() {
    for compiler in Compiler::ALL {
        let text = r#"(func (export "skill_on_event") (param i32 i32 i32 i32) (result i32)
            (drop (call $ask (local.get 2) (local.get 3)))
            (drop (call $ask (local.get 2) (local.get 3)))
            (drop (call $set (i32.const 0) (i32.const 3) (i32.const 0) (i32.const 3)))
            (loop (br 0)) (i32.const 0))"#;
        let guest = module_asking(text, &LateAi::answering()).with(|spec| spec.limits.fuel = u64::MAX);
        let runtime = WasmRuntime::builder().compiler(*compiler).workers(1).repeated_fuel(0).build().unwrap();
        let skill = runtime.load(&guest.wasm, guest.spec.clone()).unwrap();
        let mut event: Pin<Box<dyn Future<Output = Outcome>>> = Box::pin(skill.handle("go", Bytes::from("data")));
        let waker = Waker::from(Arc::new(Thread(thread::current())));
        for _ in 0..100 {
            assert!(event.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
            thread::sleep(Duration::from_millis(1));
        }
        drop(event);
        // The only worker is free for this one again.
        let other = common::guest(&common::on_event("(i32.const 0)"))
            .with(|spec| spec.host = Host::builder().memory(InMemory::new()).build());
        let other = runtime.load(&other.wasm, other.spec).unwrap();
        assert!(all(vec![other.handle("go", Bytes::from("data"))], |_| {}).remove(0).result.is_ok());
    }
}
