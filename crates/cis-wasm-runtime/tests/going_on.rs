//! Events that were suspended go on on the thread that polls them, as long as that takes no longer than one may have it.

mod common;

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Barrier, Mutex};
use std::task::{Context, Poll, Waker};
use std::thread::{self, ThreadId};
use std::time::Duration;

use bytes::Bytes;
use cis_wasm_host::{
    AiBackend, AiReply, AiRequest, BackendError, Host, InMemory, Journal, MemoryBackend, Namespace, Quota,
};
use cis_wasm_runtime::{Compiler, Outcome, WasmInstance};
use common::waiting::{LateAi, TWENTY, all, load_on, module_asking, suspending, thinking};
use common::{Guest, on_event};

/// An AI that answers as another does, and says on which threads it was asked.
#[derive(Clone, Default)]
struct Noting(LateAi, Arc<Mutex<Vec<ThreadId>>>);

#[async_trait::async_trait]
impl AiBackend for Noting {
    async fn chat(&self, request: AiRequest) -> Result<AiReply, BackendError> {
        self.1.lock().unwrap().push(thread::current().id());
        self.0.chat(request).await
    }
}

impl Noting {
    fn new() -> Self {
        Noting(LateAi::answering(), Arc::default())
    }

    fn host(&self) -> Host {
        Host::builder().memory(InMemory::new()).ai(self.clone()).build()
    }

    /// The threads of late.
    fn noted(&self) -> Vec<ThreadId> {
        std::mem::take(&mut self.1.lock().unwrap())
    }
}

#[test]
fn events_go_on_on_the_thread_that_polls_them() {
    for compiler in Compiler::ALL {
        let ai = Noting::new();
        let skill = load_on(suspending(*compiler), &thinking(10, &ai.0).with(|spec| spec.host = ai.host()));
        // A machine that is busy elsewhere makes what is short long, but not every time.
        let all_here = (0..10_000).any(|_| {
            all(vec![skill.handle("go", Bytes::from(TWENTY))], |_| {}).remove(0).result.unwrap();
            let noted = ai.noted();
            assert_eq!(noted.len(), TWENTY.len());
            noted.iter().all(|asked| *asked == thread::current().id())
        });
        assert!(all_here, "{}", compiler.name());
    }
}

/// A memory that says how often it was written to.
#[derive(Clone, Default)]
struct Counting(Arc<InMemory>, Arc<AtomicUsize>);

#[async_trait::async_trait]
impl MemoryBackend for Counting {
    async fn get(&self, namespace: &Namespace, key: &str) -> Result<Option<Bytes>, BackendError> {
        self.0.get(namespace, key).await
    }

    async fn set(&self, namespace: &Namespace, key: &str, value: Bytes, quota: Quota) -> Result<(), BackendError> {
        self.1.fetch_add(1, Ordering::SeqCst);
        self.0.set(namespace, key, value, quota).await
    }

    async fn delete(&self, namespace: &Namespace, key: &str) -> Result<bool, BackendError> {
        self.0.delete(namespace, key).await
    }

    async fn list(&self, namespace: &Namespace, prefix: &str, most: usize) -> Result<Vec<String>, BackendError> {
        self.0.list(namespace, prefix, most).await
    }
}

/// Works long before every seventh question, and little before the others. On the way it logs, stores, and is refused.
fn uneven(ai: &LateAi, memory: &Counting) -> Guest {
    let fields = r#"(data (i32.const 8) "\ff") (global $sum (mut i32) (i32.const 0))
        (func (export "skill_on_event") (param i32 i32) (param $data i32) (param $len i32)
          (result i64) (local $left i32) (local $work i32)
          (local.set $left (local.get $len))
          (loop $steps
            (call $log (i32.const 1) (local.get $data) (local.get $left))
            (drop (call $ask (i32.const 8) (i32.const 1)))
            (drop (call $set (i32.const 0) (i32.const 3) (local.get $data) (local.get $left)))
            (local.set $work
              (select (i32.const 10) (i32.const 6000000) (i32.rem_u (local.get $left) (i32.const 7))))
            (loop
              (global.set $sum (i32.add (i32.mul (global.get $sum) (i32.const 31)) (local.get $work)))
              (br_if 0 (local.tee $work (i32.sub (local.get $work) (i32.const 1)))))
            (i32.store (i32.const 128) (i32.add (i32.load (i32.const 128)) (global.get $sum)))
            (drop (call $set (i32.const 0) (i32.const 3) (i32.const 128) (i32.const 4)))
            (drop (call $ask (local.get $data) (local.get $left)))
            (br_if $steps (local.tee $left (i32.sub (local.get $left) (i32.const 1)))))
          (i64.or (i64.shl (i64.const 128) (i64.const 32)) (i64.const 4)))"#;
    module_asking(fields, ai).with(|spec| {
        spec.limits.fuel = u64::MAX;
        spec.host = Host::builder().memory(memory.clone()).ai(ai.clone()).build();
    })
}

#[test]
fn what_takes_long_there_goes_back_and_is_done_elsewhere() {
    /// The most fuel that a run has on a thread that is not the runtime's.
    const MOST: u64 = 2_000_000;

    for compiler in Compiler::ALL {
        for signals in [true, false] {
            let (ai, memory) = (LateAi::answering(), Counting::default());
            let skill = load_on(suspending(*compiler).signals(signals), &uneven(&ai, &memory));
            let traced = || Journal::record().traced();
            let mut went_back = false;
            for _ in 0..6 {
                let held = skill.run_with("go", TWENTY, traced());
                let before =
                    (skill.repeated_fuel(), memory.1.load(Ordering::SeqCst), ai.0.asked.load(Ordering::SeqCst));
                let event = skill.handle_with("go", Bytes::from(TWENTY), traced());
                let parked = all(vec![event], |_| {}).remove(0);
                same(&parked, &held);
                assert_eq!(memory.1.load(Ordering::SeqCst) - before.1, 2 * TWENTY.len(), "nothing is stored twice");
                assert_eq!(ai.0.asked.load(Ordering::SeqCst) - before.2, TWENTY.len(), "nothing is asked twice");
                // The first question is beyond a long stretch, to which the event comes twice from its start at the most.
                let (repeated, fuel) = (skill.repeated_fuel() - before.0, held.receipt.fuel);
                assert!(repeated <= fuel + 2 * MOST, "{repeated} beside {fuel}, {}", compiler.name());
                went_back |= repeated > 0;
            }
            assert!(went_back);
        }
    }
}

#[track_caller]
fn same(parked: &Outcome, held: &Outcome) {
    assert_eq!(parked.result.as_ref().unwrap(), held.result.as_ref().unwrap());
    assert_eq!(parked.log, held.log);
    assert_eq!(parked.receipt.ledger, held.receipt.ledger);
    assert_eq!((parked.receipt.fuel, parked.receipt.memory_bytes), (held.receipt.fuel, held.receipt.memory_bytes));
    assert_eq!(parked.journal.entries(), held.journal.entries());
    let traced = |outcome: &Outcome| -> Vec<_> {
        let trace = outcome.journal.trace().unwrap();
        let refused = trace.refused().iter().map(|refused| (refused.before, refused.fuel));
        refused.chain(trace.calls().iter().enumerate().map(|(number, call)| (number, call.fuel))).collect()
    };
    assert_eq!(traced(parked), traced(held));
}

#[test]
fn a_poll_begins_one_run_at_the_most() {
    for compiler in Compiler::ALL {
        let ai = Noting::new();
        let skill = load_on(suspending(*compiler), &thinking(10, &ai.0).with(|spec| spec.host = ai.host()));
        for _ in 0..20 {
            let mut event: Pin<Box<dyn Future<Output = Outcome>>> = Box::pin(skill.handle("go", Bytes::from(TWENTY)));
            let (mut asked, mut context) = (0, Context::from_waker(Waker::noop()));
            while event.as_mut().poll(&mut context).is_pending() {
                let noted = ai.noted();
                asked += noted.len();
                let here = noted.iter().filter(|asked| **asked == thread::current().id()).count();
                assert!(here <= 1, "{here} questions in a poll");
            }
            assert_eq!(asked + ai.noted().len(), TWENTY.len());
        }
    }
}

#[test]
fn an_event_can_be_given_up_between_its_answer_and_what_follows() {
    for compiler in Compiler::ALL {
        let guest = thinking(10, &LateAi::answering());
        let runtime = suspending(*compiler).build().unwrap();
        let skill = runtime.load(&guest.wasm, guest.spec.clone()).unwrap();
        let held = skill.run("go", TWENTY).result.unwrap();
        for polls in 1..30 {
            let mut event: Pin<Box<dyn Future<Output = Outcome>>> = Box::pin(skill.handle("go", Bytes::from(TWENTY)));
            let mut context = Context::from_waker(Waker::noop());
            for _ in 0..polls {
                if let Poll::Ready(outcome) = event.as_mut().poll(&mut context) {
                    assert_eq!(outcome.result.unwrap(), held);
                    break;
                }
            }
            drop(event);
            // A worker may have it, and finds out when it looks.
            while runtime.checkpoint_bytes() > 0 {
                thread::yield_now();
            }
        }
        assert_eq!(all(vec![skill.handle("go", Bytes::from(TWENTY))], |_| {}).remove(0).result.unwrap(), held);
    }
}

#[test]
fn an_event_within_an_events_call_does_not_go_on_on_its_stack() {
    struct Asks(WasmInstance);

    #[async_trait::async_trait]
    impl AiBackend for Asks {
        async fn chat(&self, _: AiRequest) -> Result<AiReply, BackendError> {
            let outcome = self.0.handle("go", Bytes::from(TWENTY)).await;
            assert!(outcome.result.is_ok(), "{:?}", outcome.result);
            Ok(AiReply { text: "done".into(), prompt_tokens: 1, reply_tokens: 1 })
        }
    }

    for compiler in Compiler::ALL {
        let ai = Noting::new();
        let inner = load_on(suspending(*compiler), &thinking(10, &ai.0).with(|spec| spec.host = ai.host()));
        let asks = on_event("(drop (call $ask (local.get $data) (local.get $len))) (i32.const 0)");
        let asks = format!(r#"(import "env" "host_ai_chat" (func $ask (param i32 i32) (result i64))) {asks}"#);
        let outer = common::guest(&asks).with(|spec| {
            spec.scope.grants.ai = true;
            spec.host = Host::builder().ai(Asks(inner)).build();
        });
        // Held, so that the inner event is polled where the outer one runs.
        load_on(suspending(*compiler), &outer).run("go", b"data").result.unwrap();
        let noted = ai.noted();
        assert_eq!(noted.len(), TWENTY.len());
        assert!(noted.iter().all(|asked| *asked != thread::current().id()));
    }
}

/// An AI that lets the event with the data `four` wait for its third answer. To one with the data `1` it answers on the thread
/// that asks, and when it is told to if it is to block.
#[derive(Clone)]
struct Third(Arc<ThirdState>);

struct ThirdState {
    asked: AtomicUsize,
    answers: AtomicBool,
    blocks: Option<[Barrier; 2]>,
}

impl Third {
    fn new(blocks: Option<[Barrier; 2]>) -> Self {
        Third(Arc::new(ThirdState { asked: AtomicUsize::new(0), answers: AtomicBool::new(false), blocks }))
    }

    fn answers(&self) {
        self.0.answers.store(true, Ordering::SeqCst);
    }

    /// The event, when it waits.
    fn event(&self, skill: &WasmInstance) -> Pin<Box<dyn Future<Output = Outcome>>> {
        let mut event: Pin<Box<dyn Future<Output = Outcome>>> = Box::pin(skill.handle("go", Bytes::from("four")));
        let mut polls_since = 0;
        // Then it is with no worker any more.
        while polls_since < 3 {
            assert!(event.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
            polls_since += usize::from(self.0.asked.load(Ordering::SeqCst) == 3);
            thread::sleep(Duration::from_millis(1));
        }
        event
    }
}

#[async_trait::async_trait]
impl AiBackend for Third {
    async fn chat(&self, request: AiRequest) -> Result<AiReply, BackendError> {
        if request.prompt == "1" {
            for barrier in self.0.blocks.iter().flatten() {
                barrier.wait();
            }
        } else {
            let number = 1 + self.0.asked.fetch_add(1, Ordering::SeqCst);
            let mut first = true;
            std::future::poll_fn(|context| {
                // Never at once, so that every call is one that waits.
                if !std::mem::take(&mut first) && (number != 3 || self.0.answers.load(Ordering::SeqCst)) {
                    return Poll::Ready(());
                }
                context.waker().wake_by_ref();
                Poll::Pending
            })
            .await;
        }
        Ok(AiReply { text: "yes".into(), prompt_tokens: 1, reply_tokens: 1 })
    }
}

/// Asks as often as the data is long, or, when that is but once, writes to more pages than are noted one by one.
fn wide(ai: &Third) -> Guest {
    let fields = r#"(func (export "skill_on_event") (param i32 i32) (param $data i32) (param $len i32)
          (result i32) (local $left i32)
          (local.set $left (local.get $len))
          (if (i32.eq (local.get $left) (i32.const 1)) (then
            (drop (memory.grow (i32.const 200)))
            (memory.fill (i32.const 1048576) (i32.const 7) (i32.const 12000000))))
          (loop $steps
            (i32.store (i32.const 128) (i32.add (i32.load (i32.const 128)) (local.get $left)))
            (drop (call $ask (local.get $data) (local.get $left)))
            (br_if $steps (local.tee $left (i32.sub (local.get $left) (i32.const 1)))))
          (i32.sub (i32.const -1) (i32.load (i32.const 128))))"#;
    module_asking(fields, &LateAi::default()).with(|spec| spec.host = Host::builder().ai(ai.clone()).build())
}

#[track_caller]
fn fails_the_same(parked: &Outcome, held: &Outcome) {
    let ended = |outcome: &Outcome| outcome.result.as_ref().unwrap_err().kind().clone();
    assert_eq!(ended(parked), ended(held));
    assert_eq!((parked.receipt.ledger, parked.receipt.fuel), (held.receipt.ledger, held.receipt.fuel));
}

#[test]
fn an_event_goes_on_in_memory_that_another_one_opened() {
    for compiler in Compiler::ALL {
        let ai = Third::new(None);
        let skill = load_on(suspending(*compiler).workers(1), &wide(&ai));
        let event = ai.event(&skill);
        ai.answers();
        // On the one instance that there is, as it is free.
        assert_eq!(skill.run("go", b"1").result.unwrap_err().code(), "skill_failed");
        let parked = all(vec![event], |_| {}).remove(0);
        fails_the_same(&parked, &skill.run("go", b"four"));
    }
}

#[test]
fn an_event_whose_instance_does_not_become_free_is_run_again() {
    for compiler in Compiler::ALL {
        let ai = Third::new(Some([Barrier::new(2), Barrier::new(2)]));
        let skill = load_on(suspending(*compiler).workers(1), &wide(&ai));
        let event = ai.event(&skill);
        ai.answers();
        let before = skill.repeated_fuel();
        thread::scope(|scope| {
            scope.spawn(|| skill.run("go", b"1"));
            let [begins, ends] = ai.0.blocks.as_ref().unwrap();
            begins.wait();
            let parked = all(vec![event], |_| {}).remove(0);
            let repeated = skill.repeated_fuel() - before;
            ends.wait();
            assert!(repeated > 0);
            fails_the_same(&parked, &skill.run("go", b"four"));
        });
    }
}
