//! Guest code is stopped wherever it is, by a signal and without one, and counts its fuel the same either way.

mod common;

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use cis_wasm_host::Resource;
use cis_wasm_runtime::{Compiler, Error, WasmInstance, WasmRuntime};
use common::{Guest, module, on_event};

/// Ways never to end.
const ENDLESS: [(&str, &str); 9] = [
    ("a tight loop", "(loop br 0)"),
    ("a loop of calls", "(loop call $nothing br 0)"),
    ("a recursion that returns", "(loop (call $down (i32.const 1000)) br 0)"),
    // The engine computes these outside of the guest's code, on one compiler or both.
    ("a loop of float operations", "(loop (global.set $f (f64.nearest (global.get $f))) br 0)"),
    ("a loop of short fills", "(loop (memory.fill (i32.const 0) (i32.const 1) (i32.const 64)) br 0)"),
    ("a loop of long copies", "(loop (memory.copy (i32.const 0) (i32.const 65536) (i32.const 250000)) br 0)"),
    ("a loop of growing by nothing", "(loop (drop (memory.grow (i32.const 0))) br 0)"),
    ("a loop of table operations", "(loop (table.fill 0 (i32.const 0) (ref.null func) (i32.const 100)) br 0)"),
    ("a loop of host calls", "(loop (drop (call $get (i32.const 0) (i32.const 3))) br 0)"),
];

fn endless(body: &str) -> Guest {
    let event = on_event(&format!("{body} (i32.const 0)")).replace(r#"(export "memory") 1"#, r#"(export "memory") 16"#);
    let skill = module(&format!(
        r#"(module (import "env" "host_memory_get" (func $get (param i32 i32) (result i64)))
            (global $f (mut f64) (f64.const 1.5)) (table 100 funcref) (data (i32.const 0) "key")
            (func $nothing)
            (func $down (param i32) (if (local.get 0) (then (call $down (i32.sub (local.get 0) (i32.const 1))))))
            {event})"#
    ));
    skill.with(|spec| {
        spec.limits.fuel = u64::MAX;
        spec.limits.deadline = Duration::from_millis(40);
        for resource in [Resource::BytesIn, Resource::BytesOut, Resource::HostCalls] {
            spec.scope.budget = spec.scope.budget.with(resource, u64::MAX);
        }
    })
}

/// Loads it on every compiler, with signals and without.
fn each(guest: &Guest, mut check: impl FnMut(&str, WasmInstance)) {
    for compiler in Compiler::ALL {
        for signals in [true, false] {
            let runtime = WasmRuntime::builder().compiler(*compiler).signals(signals).build().unwrap();
            let on = format!("{}, {}", compiler.name(), if signals { "signals" } else { "no signals" });
            check(&on, runtime.load(&guest.wasm, guest.spec.clone()).unwrap_or_else(|error| panic!("{on}: {error}")));
        }
    }
}

#[test]
fn the_deadline_ends_guest_code_wherever_it_is() {
    for (what, body) in ENDLESS {
        each(&endless(body), |on, skill| {
            for _ in 0..3 {
                let outcome = skill.run("go", b"");
                assert_eq!(outcome.result.unwrap_err().code(), "deadline_exceeded", "{what} on {on}");
                assert!(outcome.receipt.fuel < u64::MAX / 4, "{what} on {on}: {}", outcome.receipt.fuel);
            }
        });
    }
}

#[test]
fn giving_an_event_up_ends_it() {
    for (what, body) in ENDLESS {
        let guest = endless(body).kept().with(|spec| spec.limits.deadline = Duration::from_secs(3600));
        each(&guest, |on, skill| {
            let mut event = Box::pin(skill.handle("go", Bytes::new()));
            let waiting = event.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending();
            assert!(waiting, "{what} on {on} ended");
            thread::sleep(Duration::from_millis(5));
            drop(event);
            // A kept skill's instance comes free only when its event has ended.
            skill.shutdown().unwrap();
        });
    }
}

#[test]
fn fuel_is_counted_the_same_with_signals_and_without() {
    let turns = |turns: u32| {
        format!("(local $i i32) (local.set $i (i32.const {turns}))
        (loop (call $down (i32.const 10)) (local.set $i (i32.sub (local.get $i) (i32.const 1))) (br_if 0 (local.get $i)))")
    };
    for (body, fuel) in [
        (turns(100), u64::MAX),
        (turns(100_000), u64::MAX),
        (turns(100_000), 250_000),
        ("(loop br 0)".to_owned(), 250_000),
        ("(memory.fill (i32.const 0) (i32.const 1) (i32.const 1000000))".to_owned(), 10_000),
        ("(call $down (i32.const 3)) unreachable".to_owned(), u64::MAX),
        ("(call $down (i32.const 3)) (drop (i32.load (i32.const -1)))".to_owned(), u64::MAX),
    ] {
        let guest = endless(&body).with(|spec| {
            spec.limits.fuel = fuel;
            spec.limits.deadline = Duration::from_secs(3600);
        });
        let mut seen = Vec::new();
        each(&guest, |_, skill| {
            let outcome = skill.run("go", b"");
            let result = outcome.result.as_ref().map_err(Error::code).map(Bytes::len);
            seen.push((result, outcome.receipt.fuel));
        });
        assert!(seen.iter().all(|other| *other == seen[0]), "{body}: {seen:?}");
        assert_eq!(seen[0].0 == Err("out_of_fuel"), fuel < u64::MAX, "{body}: {seen:?}");
    }
}

#[test]
fn a_trap_of_the_guests_own_is_none_of_the_limits() {
    each(&endless("unreachable"), |on, skill| {
        let outcome = skill.run("go", b"");
        assert_eq!(outcome.result.unwrap_err().code(), "trap_unreachable", "{on}");
    });
    each(&endless("(call $down (i32.const 100000000))"), |on, skill| {
        let outcome = skill.run("go", b"");
        assert_eq!(outcome.result.unwrap_err().code(), "trap_stack_overflow", "{on}");
    });
}

#[test]
fn threads_come_and_go_while_they_are_watched() {
    each(&endless("(loop br 0)"), |on, skill| {
        for _ in 0..4 {
            thread::scope(|scope| {
                for _ in 0..8 {
                    scope.spawn(|| {
                        let code = skill.run("go", b"").result.unwrap_err().code();
                        assert_eq!(code, "deadline_exceeded", "{on}");
                    });
                }
            });
        }
    });
}

#[test]
fn a_skill_within_a_skills_host_call_is_stopped_by_itself() {
    use cis_wasm_host::{AiBackend, AiReply, AiRequest, BackendError, Host};

    struct Asks(WasmInstance);

    #[async_trait::async_trait]
    impl AiBackend for Asks {
        async fn chat(&self, _: AiRequest) -> Result<AiReply, BackendError> {
            let text = self.0.run("go", b"").result.unwrap_err().code().to_owned();
            Ok(AiReply { text, prompt_tokens: 1, reply_tokens: 1 })
        }
    }

    each(&endless("(loop br 0)"), |on, inner| {
        let asks = module(
            r#"(module (import "env" "host_ai_chat" (func $ask (param i32 i32) (result i64)))
                (memory (export "memory") 1) (data (i32.const 0) "what?")
                (func (export "skill_on_event") (param i32 i32 i32 i32) (result i64)
                    (call $ask (i32.const 0) (i32.const 5))))"#,
        );
        let runtime = WasmRuntime::new().unwrap();
        let mut spec = asks.spec.clone();
        spec.scope.grants.ai = true;
        spec.host = Host::builder().ai(Asks(inner)).build();
        let outer = runtime.load(&asks.wasm, spec).unwrap();
        assert_eq!(outer.run("go", b"").result.unwrap(), "deadline_exceeded", "{on}");
        let mut handled = pin!(outer.handle("go", Bytes::new()));
        let outcome = loop {
            match handled.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
                Poll::Ready(outcome) => break outcome,
                Poll::Pending => thread::sleep(Duration::from_millis(1)),
            }
        };
        assert_eq!(outcome.result.unwrap(), "deadline_exceeded", "{on}");
    });
}
