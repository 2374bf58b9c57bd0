//! Events that wait, and what they wait for.

use std::future::Future;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use cis_wasm_host::{AiBackend, AiReply, AiRequest, BackendError, Host, InMemory};
use cis_wasm_runtime::{Compiler, Outcome, RuntimeBuilder, WasmInstance, WasmRuntime};

use super::{Guest, module};

/// An AI that answers when it is told to, with the prompt and how often it was asked.
#[derive(Clone, Default)]
pub struct LateAi(pub Arc<AiState>);

#[derive(Default)]
pub struct AiState {
    pub asked: AtomicUsize,
    pub given_up: AtomicUsize,
    open: Mutex<(bool, Vec<Waker>)>,
    /// How many may go although it is not open.
    once: AtomicUsize,
}

impl LateAi {
    /// One that answers whatever it is asked, after a while.
    pub fn answering() -> Self {
        let ai = LateAi::default();
        ai.answer_all();
        ai
    }

    pub fn answer_all(&self) {
        let mut open = self.0.open.lock().unwrap();
        open.0 = true;
        std::mem::take(&mut open.1).into_iter().for_each(Waker::wake);
    }

    /// Answers those that wait, and none that come later.
    pub fn answer_once(&self) {
        let mut open = self.0.open.lock().unwrap();
        self.0.once.fetch_add(open.1.len(), Ordering::SeqCst);
        std::mem::take(&mut open.1).into_iter().for_each(Waker::wake);
    }

    /// How many wait.
    pub fn waiting(&self) -> usize {
        self.0.open.lock().unwrap().1.len()
    }
}

/// Counts a call that is dropped before its answer.
struct GivenUp<'a>(&'a AiState, bool);

impl Drop for GivenUp<'_> {
    fn drop(&mut self) {
        self.0.given_up.fetch_add(usize::from(!self.1), Ordering::SeqCst);
    }
}

#[async_trait::async_trait]
impl AiBackend for LateAi {
    async fn chat(&self, request: AiRequest) -> Result<AiReply, BackendError> {
        self.0.asked.fetch_add(1, Ordering::SeqCst);
        let mut waits = GivenUp(&self.0, false);
        let mut first = true;
        std::future::poll_fn(|context| {
            let mut open = self.0.open.lock().unwrap();
            let let_through = |left: usize| left.checked_sub(1);
            if !first && self.0.once.fetch_update(Ordering::SeqCst, Ordering::SeqCst, let_through).is_ok() {
                return Poll::Ready(());
            }
            // Never at once, so that every call is one that waits.
            if open.0 && !std::mem::take(&mut first) {
                return Poll::Ready(());
            }
            first = false;
            match open.0 {
                true => context.waker().wake_by_ref(),
                false => open.1.push(context.waker().clone()),
            }
            Poll::Pending
        })
        .await;
        waits.1 = true;
        Ok(AiReply { text: format!("to {}", request.prompt), prompt_tokens: 3, reply_tokens: 4 })
    }
}

/// A skill that works a bit, logs, stores what it was sent, and asks the AI as often as the data is long, about the data.
pub fn asking(work: u32, ai: &LateAi) -> Guest {
    let guest = module(&format!(
        r#"(module
        (import "env" "host_ai_chat" (func $ask (param i32 i32) (result i64)))
        (import "env" "host_memory_set" (func $set (param i32 i32 i32 i32) (result i32)))
        (import "env" "host_log" (func $log (param i32 i32 i32)))
        (memory (export "memory") 1) (data (i32.const 0) "key")
        (func (export "skill_on_event") (param $type i32) (param $type_len i32) (param $data i32) (param $len i32)
          (result i64) (local $left i32) (local $work i32) (local $reply i64)
          (local.set $work (i32.const {work}))
          (loop (br_if 0 (local.tee $work (i32.sub (local.get $work) (i32.const 1)))))
          (local.set $left (local.get $len))
          (loop
            (call $log (i32.const 1) (local.get $data) (local.get $left))
            (drop (call $set (i32.const 0) (i32.const 3) (local.get $data) (local.get $left)))
            (local.set $reply (call $ask (local.get $data) (local.get $left)))
            (br_if 0 (local.tee $left (i32.sub (local.get $left) (i32.const 1)))))
          (local.get $reply)))"#
    ));
    guest.with(|spec| {
        spec.scope.grants.ai = true;
        spec.limits.deadline = Duration::from_secs(3600);
        spec.host = Host::builder().memory(InMemory::new()).ai(ai.clone()).build();
    })
}

/// A skill with these fields, which can ask the AI, log, and store.
pub fn module_asking(fields: &str, ai: &LateAi) -> Guest {
    let guest = module(&format!(
        r#"(module
        (import "env" "host_ai_chat" (func $ask (param i32 i32) (result i64)))
        (import "env" "host_memory_set" (func $set (param i32 i32 i32 i32) (result i32)))
        (import "env" "host_log" (func $log (param i32 i32 i32)))
        (memory (export "memory") 1) (data (i32.const 0) "key")
        {fields})"#
    ));
    guest.with(|spec| {
        spec.park_after = Duration::ZERO;
        spec.scope.grants.ai = true;
        spec.limits.deadline = Duration::from_secs(3600);
        spec.host = Host::builder().memory(InMemory::new()).ai(ai.clone()).build();
    })
}

/// The same skill, that works before every question, and keeps what it is answered: its response is a hash of that, of the
/// work, and of memory that it grew.
pub fn thinking(work: u32, ai: &LateAi) -> Guest {
    let fields = format!(
        r#"(global $steps (mut i32) (i32.const 0))
        (global $hash (mut i64) (i64.const 1))
        (func $mix (param i64)
          (global.set $hash (i64.mul (i64.rotl (i64.xor (global.get $hash) (local.get 0)) (i64.const 23))
            (i64.const 6364136223846793005))))
        (func $think (param $depth i32) (param $data i32) (param $left i32) (result i64) (local $work i32)
          ;; a stack that is more than a frame
          (if (local.get $depth)
            (then (return (i64.add (i64.const 1)
              (call $think (i32.sub (local.get $depth) (i32.const 1)) (local.get $data) (local.get $left))))))
          (local.set $work (i32.const {work}))
          (loop
            (i32.store (i32.add (i32.const 4096) (i32.shl (i32.and (local.get $work) (i32.const 8191)) (i32.const 2)))
              (i32.add (local.get $work) (global.get $steps)))
            (br_if 0 (local.tee $work (i32.sub (local.get $work) (i32.const 1)))))
          (global.set $steps (i32.add (global.get $steps) (i32.const 1)))
          (if (i32.eq (i32.and (global.get $steps) (i32.const 7)) (i32.const 3))
            (then (call $mix (i64.extend_i32_s (memory.grow (i32.const 1))))
                  (i32.store (i32.sub (i32.shl (memory.size) (i32.const 16)) (i32.const 8)) (global.get $steps))))
          (call $log (i32.const 1) (local.get $data) (local.get $left))
          (drop (call $set (i32.const 0) (i32.const 3) (local.get $data) (local.get $left)))
          (call $ask (local.get $data) (local.get $left)))
        (func (export "skill_on_event") (param $type i32) (param $type_len i32) (param $data i32) (param $len i32)
          (result i64) (local $left i32) (local $reply i64) (local $at i32)
          (local.set $left (local.get $len))
          (loop
            (local.set $reply (call $think (i32.const 20) (local.get $data) (local.get $left)))
            (call $mix (local.get $reply))
            (br_if 0 (local.tee $left (i32.sub (local.get $left) (i32.const 1)))))
          (loop
            (call $mix (i64.load (local.get $at)))
            (br_if 0 (i32.lt_u (local.tee $at (i32.add (local.get $at) (i32.const 8)))
              (i32.shl (memory.size) (i32.const 16)))))
          (i64.store (i32.const 64) (global.get $hash))
          (i64.const {response}))"#,
        response = (64_u64 << 32) | 8
    );
    module_asking(&fields, ai)
}

/// So many calls in a row, of a guest that asks as often as its data is long.
pub const TWENTY: &[u8] = b"twenty calls in a row";

pub fn load(guest: &Guest, compiler: Compiler) -> WasmInstance {
    load_on(WasmRuntime::builder().compiler(compiler).workers(2), guest)
}

#[track_caller]
pub fn load_on(runtime: RuntimeBuilder, guest: &Guest) -> WasmInstance {
    runtime.build().unwrap().load(&guest.wasm, guest.spec.clone()).unwrap()
}

/// A runtime where every event is suspended that waits a second time.
pub fn suspending(compiler: Compiler) -> RuntimeBuilder {
    WasmRuntime::builder().compiler(compiler).workers(2).repeated_fuel(0)
}

/// Polls futures whenever one of them was woken, until all are done.
struct Executor {
    thread: std::thread::Thread,
}

impl Wake for Executor {
    fn wake(self: Arc<Self>) {
        self.thread.unpark();
    }
}

pub fn all<F: Future<Output = Outcome>>(events: Vec<F>, mut between: impl FnMut(usize)) -> Vec<Outcome> {
    let waker = Waker::from(Arc::new(Executor { thread: std::thread::current() }));
    let mut events: Vec<_> = events.into_iter().map(|event| Some(Box::pin(event))).collect();
    let mut outcomes: Vec<Option<Outcome>> = events.iter().map(|_| None).collect();
    for round in 0.. {
        for (event, outcome) in events.iter_mut().zip(&mut outcomes) {
            if let Some(future) = event
                && let Poll::Ready(ready) = future.as_mut().poll(&mut Context::from_waker(&waker))
            {
                (*event, *outcome) = (None, Some(ready));
            }
        }
        if outcomes.iter().all(Option::is_some) {
            break;
        }
        between(round);
        std::thread::park_timeout(Duration::from_millis(50));
    }
    outcomes.into_iter().flatten().collect()
}
