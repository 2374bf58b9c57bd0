//! Waiting: backends that take their time, that hang, fail and panic; cancellation; many events at once.

mod common;

use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::thread;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use bytes::Bytes;
use cis_wasm_host::{AiBackend, AiReply, AiRequest, BackendError, Fault, Host, InMemory, Resource};
use cis_wasm_runtime::{Compiler, Outcome, WasmRuntime};
use common::{Guest, guest, module, on_event, on_event_packed};

/// Answers after a while; or once a gate is open; or never; or with a panic.
#[derive(Clone, Default)]
struct SlowAi {
    begun: Arc<AtomicUsize>,
    dropped: Arc<AtomicUsize>,
    /// Whether it answers what waits at the gate.
    open: Arc<AtomicBool>,
}

/// Until another thread wakes it.
async fn a_while() {
    let mut awake: Option<Arc<AtomicBool>> = None;
    poll_fn(|context| {
        let awake = awake.get_or_insert_with(|| {
            let (awake, waker) = (Arc::new(AtomicBool::new(false)), context.waker().clone());
            let sleeper = awake.clone();
            thread::spawn(move || {
                thread::sleep(Duration::from_millis(5));
                sleeper.store(true, Ordering::SeqCst);
                waker.wake();
            });
            awake
        });
        if awake.load(Ordering::SeqCst) { Poll::Ready(()) } else { Poll::Pending }
    })
    .await
}

struct CountDrop(Arc<AtomicUsize>);

impl Drop for CountDrop {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

#[async_trait]
impl AiBackend for SlowAi {
    async fn chat(&self, request: AiRequest) -> Result<AiReply, BackendError> {
        self.begun.fetch_add(1, Ordering::SeqCst);
        let _dropped = CountDrop(self.dropped.clone());
        match &request.prompt[..] {
            "hang" => std::future::pending().await,
            "panic" => panic!("the model is on fire"),
            "big" => Ok(AiReply { text: "x".repeat((8 << 20) + 1), prompt_tokens: 1, reply_tokens: 1 }),
            slowly => {
                a_while().await;
                while slowly == "gate" && !self.open.load(Ordering::SeqCst) {
                    a_while().await;
                }
                Ok(AiReply { text: "slow answer".into(), prompt_tokens: 3, reply_tokens: 2 })
            }
        }
    }
}

/// Answers its first four prompts, and hangs from then on.
struct HangsLater(SlowAi);

#[async_trait]
impl AiBackend for HangsLater {
    async fn chat(&self, request: AiRequest) -> Result<AiReply, BackendError> {
        if self.0.begun.load(Ordering::SeqCst) == 4 {
            return std::future::pending().await;
        }
        self.0.chat(request).await
    }
}

/// A guest that asks the AI with its event's data and answers with the reply.
fn asking(ai: &SlowAi) -> Guest {
    let ask = "(call $chat (local.get $data) (local.get $len))";
    let chat = r#"(import "env" "host_ai_chat" (func $chat (param i32 i32) (result i64)))"#;
    module(&format!("(module {chat} {})", on_event_packed(ask))).with(|spec| {
        spec.scope.grants.ai = true;
        spec.host = Host::builder().ai(ai.clone()).build();
    })
}

struct Unpark(thread::Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// An executor that knows nothing of any runtime.
fn block_on<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(output) => return output,
            Poll::Pending => thread::park(),
        }
    }
}

/// A future that was polled once, which is what sends an event. It may have been ready at once.
enum Sent<F: Future> {
    Pending(Pin<Box<F>>),
    Ready(F::Output),
}

fn send<F: Future>(future: F) -> Sent<F> {
    let mut future = Box::pin(future);
    match future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Pending => Sent::Pending(future),
        Poll::Ready(output) => Sent::Ready(output),
    }
}

impl<F: Future> Sent<F> {
    fn answer(self) -> F::Output {
        match self {
            Sent::Pending(future) => block_on(future),
            Sent::Ready(output) => output,
        }
    }
}

#[test]
fn a_slow_backend_is_waited_for_on_either_path() {
    let ai = SlowAi::default();
    asking(&ai).loaded(|instance| {
        assert_eq!(instance.run("ask", b"slowly").result.unwrap(), "slow answer");
        let outcome: Outcome = block_on(instance.handle("ask", Bytes::from("slowly")));
        assert_eq!(outcome.result.unwrap(), "slow answer");
        assert_eq!(outcome.receipt.ledger.used().of(Resource::AiTokens), 5);
    });
}

#[test]
fn a_backend_that_hangs_is_left_at_the_deadline() {
    let ai = SlowAi::default();
    asking(&ai).with(|spec| spec.limits.deadline = Duration::from_millis(20)).loaded(|instance| {
        for outcome in [instance.run("ask", b"hang"), block_on(instance.handle("ask", Bytes::from("hang")))] {
            let error = outcome.result.unwrap_err();
            assert_eq!((error.code(), error.fault()), ("deadline_exceeded", Fault::Backend));
            assert!(error.to_string().contains("host_ai_chat"), "{error}");
        }
    });
    assert_eq!(ai.begun.load(Ordering::SeqCst), ai.dropped.load(Ordering::SeqCst));
}

#[test]
fn a_backend_that_panics_or_says_too_much_is_an_error_of_the_call() {
    let ai = SlowAi::default();
    asking(&ai).loaded(|instance| {
        let error = instance.run("ask", b"panic").result.unwrap_err();
        assert_eq!((error.code(), error.fault()), ("backend_failed", Fault::Backend));
        assert!(error.to_string().contains("the model is on fire"), "{error}");
        assert_eq!(instance.run("ask", b"big").result.unwrap_err().code(), "too_large");
        assert_eq!(instance.run("ask", b"again").result.unwrap(), "slow answer");
    });
}

#[test]
fn dropping_the_future_cancels_the_event() {
    let ai = SlowAi::default();
    let patient = asking(&ai).with(|spec| spec.limits.deadline = Duration::from_secs(3_600));
    let spin = guest(&on_event("(loop (br 0)) (i32.const 0)")).with(|spec| {
        spec.limits.deadline = Duration::from_secs(3_600);
        spec.limits.fuel = u64::MAX;
    });
    // One worker and no room for waiting beside it: it must be free again for the last event.
    let runtime = WasmRuntime::builder().workers(1).max_held(0).build().unwrap();
    let patient = runtime.load(&patient.wasm, patient.spec).unwrap();
    let spin = runtime.load(&spin.wasm, spin.spec).unwrap();
    let mut never = Context::from_waker(Waker::noop());
    {
        let mut waiting = pin!(patient.handle("ask", Bytes::from("hang")));
        let mut spinning = pin!(spin.handle("spin", Bytes::new()));
        assert!(waiting.as_mut().poll(&mut never).is_pending());
        assert!(spinning.as_mut().poll(&mut never).is_pending());
        while ai.begun.load(Ordering::SeqCst) == 0 {
            thread::yield_now();
        }
    }
    assert_eq!(block_on(patient.handle("ask", Bytes::from("slowly"))).result.unwrap(), "slow answer");
    assert_eq!(ai.dropped.load(Ordering::SeqCst), 2);
}

#[test]
fn events_that_wait_do_not_keep_others_from_running() {
    let ai = SlowAi::default();
    let asking = asking(&ai).with(|spec| spec.limits.deadline = Duration::from_secs(3_600));
    let quick = guest(&on_event("(i32.const 0)"));
    let runtime = WasmRuntime::builder().workers(1).max_held(8).build().unwrap();
    let asking = runtime.load(&asking.wasm, asking.spec).unwrap();
    let quick = runtime.load(&quick.wasm, quick.spec).unwrap();
    let mut never = Context::from_waker(Waker::noop());
    let mut waiting: Vec<_> = (0..8).map(|_| Box::pin(asking.handle("ask", Bytes::from("hang")))).collect();
    for event in &mut waiting {
        assert!(event.as_mut().poll(&mut never).is_pending());
    }
    assert!(block_on(quick.handle("quick", Bytes::new())).result.is_ok());
}

#[test]
fn a_skill_whose_backend_hangs_leaves_threads_for_the_others() {
    let ai = SlowAi::default();
    let hanging = asking(&ai).with(|spec| spec.limits.deadline = Duration::from_secs(3_600));
    let slow = asking(&ai);
    for max_held in [0, 1, 8] {
        let runtime = WasmRuntime::builder().workers(1).max_held(max_held).build().unwrap();
        let load = |guest: &Guest| runtime.load(&guest.wasm, guest.spec.clone()).unwrap();
        let mut never = Context::from_waker(Waker::noop());
        // More skills than there is room for waiting, with more events than that each.
        let hostile: Vec<_> = (0..12).map(|_| load(&hanging)).collect();
        let mut waiting: Vec<_> =
            (0..120).map(|event| Box::pin(hostile[event % 12].handle("ask", Bytes::from("hang")))).collect();
        for event in &mut waiting {
            assert!(event.as_mut().poll(&mut never).is_pending());
        }
        let (one, other) = (load(&slow), load(&slow));
        for _ in 0..5 {
            let sent = [one.handle("ask", Bytes::from("slowly")), other.handle("ask", Bytes::from("slowly"))];
            for outcome in sent.map(block_on) {
                assert_eq!(outcome.result.unwrap(), "slow answer");
            }
        }
    }
}

#[test]
fn a_kept_skill_takes_events_in_order() {
    let count = "(i32.store8 (i32.const 0) (i32.add (i32.load8_u (i32.const 0)) (i32.const 1)))
        (i64.const 0x0000000100000001)";
    // The response is the byte before the counter's: shift it there.
    let count = count
        .replace("(i32.store8 (i32.const 0)", "(i32.store8 (i32.const 1)")
        .replace("(i32.load8_u (i32.const 0))", "(i32.load8_u (i32.const 1))");
    for compiler in Compiler::ALL {
        let skill = guest(&on_event_packed(&count)).kept();
        let instance = skill.load(*compiler).unwrap();
        let events: Vec<_> = (0..200).map(|_| send(instance.handle("count", Bytes::new()))).collect();
        for (index, event) in events.into_iter().enumerate() {
            assert_eq!(event.answer().result.unwrap()[0], index as u8 + 1);
        }
    }
}

#[test]
fn an_event_is_answered_once() {
    guest(&on_event("(i32.const 0)")).loaded(|instance| {
        let mut event = Box::pin(instance.handle("test", Bytes::new()));
        let mut never = Context::from_waker(Waker::noop());
        let outcome = loop {
            match event.as_mut().poll(&mut never) {
                Poll::Ready(outcome) => break outcome,
                Poll::Pending => thread::yield_now(),
            }
        };
        assert!(outcome.result.is_ok());
        // Not an error that says something of the event or of the runtime.
        let again = catch_unwind(AssertUnwindSafe(|| event.as_mut().poll(&mut never).is_ready()));
        let panic = again.unwrap_err();
        assert!(panic.downcast_ref::<&str>().unwrap().contains("polled after it was ready"));
    });
}

#[test]
fn the_deadline_is_looked_at_between_host_calls() {
    // Every call copies 8 MiB, and a slice of fuel is enough for more than ten thousand of them.
    let skill = module(&format!(
        r#"(module (import "env" "host_memory_set" (func $set (param i32 i32 i32 i32) (result i32)))
            (data (i32.const 0) "key")
            {})"#,
        on_event(
            "(loop $more (drop (call $set (i32.const 0) (i32.const 3) (i32.const 0) (i32.const 0x800000))) (br $more))
             unreachable"
        )
        .replace(r#"(export "memory") 1"#, r#"(export "memory") 129"#)
    ));
    let endless = skill.with(|spec| {
        spec.limits.deadline = Duration::from_millis(10);
        for resource in [Resource::BytesIn, Resource::HostCalls, Resource::MemoryWrites, Resource::MemoryWriteBytes] {
            spec.scope.budget = spec.scope.budget.with(resource, u64::MAX);
        }
        spec.host = Host::builder().memory(InMemory::new()).build();
    });
    endless.loaded(|instance| {
        let outcome = instance.run("test", b"");
        // Whose fault it is depends on whether it passes in a call or between two.
        let (error, calls) = (outcome.result.unwrap_err(), outcome.receipt.ledger.used().of(Resource::HostCalls));
        assert_eq!(error.code(), "deadline_exceeded");
        assert!(calls < 1_000, "{calls} calls of 8 MiB within 10 ms");
    });
}

#[test]
fn an_events_time_begins_with_its_turn() {
    let ai = SlowAi::default();
    asking(&ai).kept().with(|spec| spec.limits.deadline = Duration::from_secs(3600)).loaded(|instance| {
        ai.open.store(false, Ordering::SeqCst);
        let (begun, instance) = (ai.begun.load(Ordering::SeqCst), &instance);
        thread::scope(|scope| {
            let first = scope.spawn(|| instance.run("ask", b"gate"));
            while ai.begun.load(Ordering::SeqCst) == begun && !first.is_finished() {
                thread::yield_now();
            }
            // Behind one that takes as long as it is let, on a worker and on lent threads.
            let timed = |handle: &dyn Fn() -> Outcome| {
                let sent = Instant::now();
                (sent, handle(), sent.elapsed())
            };
            let mut behind =
                vec![scope.spawn(move || timed(&|| block_on(instance.handle("ask", Bytes::from("slowly")))))];
            behind.extend((0..4).map(|_| scope.spawn(move || timed(&|| instance.run("ask", b"slowly")))));
            thread::sleep(Duration::from_millis(50));
            let opened = Instant::now();
            ai.open.store(true, Ordering::SeqCst);
            for event in behind {
                let (sent, outcome, took) = event.join().unwrap();
                assert_eq!(outcome.result.unwrap(), "slow answer");
                // Its turn was not before the gate was open.
                let waited = opened.saturating_duration_since(sent);
                let wall = outcome.receipt.wall;
                assert!(wall + waited <= took, "{wall:?} of {took:?}, of which it waited {waited:?}");
            }
            assert_eq!(first.join().unwrap().result.unwrap(), "slow answer");
        });
    });
}

#[test]
fn a_new_instance_that_does_not_start_leaves_threads_for_the_others() {
    // Fine at load, and never again: the AI hangs when it is asked a second time.
    let ai = SlowAi::default();
    let hanging = module(&format!(
        r#"(module (import "env" "host_ai_chat" (func $chat (param i32 i32) (result i64)))
            (func (export "skill_init") (result i32)
              (drop (call $chat (i32.const 64) (i32.const 6))) (i32.const 0))
            (data (i32.const 64) "slowly") {})"#,
        on_event("unreachable")
    ))
    .kept()
    .with(|spec| {
        spec.scope.grants.ai = true;
        spec.host = Host::builder().ai(HangsLater(ai.clone())).build();
        spec.limits.deadline = Duration::from_secs(3_600);
    });
    let quick = guest(&on_event("(i32.const 0)"));
    let runtime = WasmRuntime::builder().workers(1).build().unwrap();
    let quick = runtime.load(&quick.wasm, quick.spec).unwrap();
    let hanging: Vec<_> = (0..4).map(|_| runtime.load(&hanging.wasm, hanging.spec.clone()).unwrap()).collect();
    assert_eq!(ai.begun.load(Ordering::SeqCst), 4);
    let mut never = Context::from_waker(Waker::noop());
    let mut starting = Vec::new();
    for instance in &hanging {
        assert_eq!(instance.run("trap", b"").result.unwrap_err().code(), "trap_unreachable");
        starting.push(Box::pin(instance.handle("start", Bytes::new())));
    }
    for event in &mut starting {
        assert!(event.as_mut().poll(&mut never).is_pending());
    }
    for _ in 0..20 {
        assert!(block_on(quick.handle("quick", Bytes::new())).result.is_ok());
    }
}

#[test]
fn a_kept_skill_closes_after_its_events() {
    let skill = module(&format!(
        r#"(module (import "env" "host_log" (func $log (param i32 i32 i32)))
            (func (export "skill_shutdown") (call $log (i32.const 1) (i32.const 0x100000) (i32.const 1))) {})"#,
        on_event("(i32.const 0)")
    ));
    for compiler in Compiler::ALL {
        let runtime = WasmRuntime::builder().compiler(*compiler).workers(1).max_held(0).build().unwrap();
        let kept = runtime.load(&skill.wasm, skill.spec.clone()).unwrap();
        assert!(block_on(kept.close()).is_ok(), "a fresh skill has nothing to end");
        assert!(kept.run("test", b"").result.is_ok());

        let kept = skill.clone().kept();
        let kept = runtime.load(&kept.wasm, kept.spec).unwrap();
        let before: Vec<_> = (0..50).map(|_| send(kept.handle("test", Bytes::new()))).collect();
        let closing = send(kept.close());
        let after = send(kept.handle("test", Bytes::new()));
        for event in before {
            assert!(event.answer().result.is_ok());
        }
        assert_eq!(after.answer().result.unwrap_err().code(), "runtime_closed");
        // That it ran shows in its mistake.
        assert_eq!(closing.answer().unwrap_err().code(), "bad_pointer");
        assert!(block_on(kept.close()).is_ok());
    }
}

#[test]
fn a_skill_that_never_stops_leaves_threads_for_the_others() {
    let endless = guest(&on_event("(loop (br 0)) (i32.const 0)")).with(|spec| {
        spec.limits.deadline = Duration::from_secs(3_600);
        spec.limits.fuel = u64::MAX;
    });
    let quick = guest(&on_event("(i32.const 0)"));
    let runtime = WasmRuntime::builder().workers(1).build().unwrap();
    let mut never = Context::from_waker(Waker::noop());
    // Two of them, with more events each than there are threads.
    let hostile: Vec<_> = (0..2).map(|_| runtime.load(&endless.wasm, endless.spec.clone()).unwrap()).collect();
    let mut spinning: Vec<_> =
        (0..200).map(|event| Box::pin(hostile[event % 2].handle("spin", Bytes::new()))).collect();
    for event in &mut spinning {
        assert!(event.as_mut().poll(&mut never).is_pending());
    }
    let quick = runtime.load(&quick.wasm, quick.spec).unwrap();
    for _ in 0..20 {
        assert!(block_on(quick.handle("quick", Bytes::new())).result.is_ok());
    }
}
