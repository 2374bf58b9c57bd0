//! Many events of `summarize` that wait at once for an AI that does not answer, and then does.
//!
//! `cargo run -p cis-benches --all-features --example waiting -- target/skills/summarize.wasm [EVENTS]`, after
//! `cargo xtask build-skill skills/summarize`. For Linux, which says what a process has.
//!
//! Printed is what the process has more for each event while all wait, how many threads, and what an event's journal holds.
//! Then the AI answers, and every answer is looked at.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use bytes::Bytes;
use cis_wasm_host::{AiBackend, AiReply, AiRequest, BackendError, Host, InMemory, Journal, SkillScope, encode_journal};
use cis_wasm_runtime::{LoadSpec, Outcome, WasmRuntime};

const DOCUMENT: &str =
    r#"{"key": "doc/1", "text": "It was a bright cold day in April, and the clocks were striking thirteen."}"#;
const SUMMARIZE: &str = r#"{"key": "doc/1"}"#;

/// An AI that answers nobody before it is told to.
#[derive(Clone, Default)]
struct Stalled(Arc<State>);

#[derive(Default)]
struct State {
    asked: AtomicUsize,
    answers: AtomicBool,
    waiting: Mutex<Vec<Waker>>,
}

#[async_trait]
impl AiBackend for Stalled {
    async fn chat(&self, _: AiRequest) -> Result<AiReply, BackendError> {
        self.0.asked.fetch_add(1, Ordering::Relaxed);
        std::future::poll_fn(|context| {
            if self.0.answers.load(Ordering::Acquire) {
                return Poll::Ready(());
            }
            self.0.waiting.lock().expect("nothing panics while it is held").push(context.waker().clone());
            Poll::Pending
        })
        .await;
        Ok(AiReply { text: "A cold day.".into(), prompt_tokens: 20, reply_tokens: 3 })
    }
}

/// An event, until it was answered.
type Waiting = Option<Pin<Box<dyn Future<Output = Outcome>>>>;

/// Bytes of memory that this process has, and its threads.
fn process() -> (u64, u64) {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux has it");
    let number = |name: &str| {
        let line = status.lines().find(|line| line.starts_with(name)).expect("it says so");
        line.split_whitespace().nth(1).and_then(|number| number.parse::<u64>().ok()).expect("a number")
    };
    (number("VmRSS:") << 10, number("Threads:"))
}

fn main() {
    let mut args = std::env::args().skip(1);
    let path = args.next().expect("the skill's .wasm");
    let events: usize = args.next().map_or(10_000, |events| events.parse().expect("a number of events"));
    let wasm = std::fs::read(&path).unwrap_or_else(|error| panic!("{path}: {error}"));

    let ai = Stalled::default();
    let host = Host::builder().memory(InMemory::new()).ai(ai.clone()).build();
    let mut scope = SkillScope::new("summarize".parse().expect("a fixed name"));
    scope.grants.ai = true;
    scope.config.insert("sentences".into(), 2.into());
    let mut spec = LoadSpec::new(scope, host);
    spec.limits.deadline = Duration::from_secs(3600);
    let runtime = WasmRuntime::builder().workers(2).build().expect("there are threads");
    let skill = runtime.load(&wasm, spec).unwrap_or_else(|error| panic!("{error}"));
    assert!(skill.run("document.put", DOCUMENT.as_bytes()).result.is_ok());

    let poll_all = |waiting: &mut Vec<Waiting>| {
        let mut context = Context::from_waker(Waker::noop());
        let mut done = 0;
        for event in waiting {
            if let Some(future) = event
                && let Poll::Ready(outcome) = future.as_mut().poll(&mut context)
            {
                let answer = outcome.result.unwrap_or_else(|error| panic!("{error}"));
                assert!(String::from_utf8_lossy(&answer).contains("A cold day."), "{answer:?}");
                *event = None;
                done += 1;
            }
        }
        done
    };

    let mut waiting = Vec::with_capacity(events);
    let before = process();
    let start = Instant::now();
    for _ in 0..events {
        let event = skill.handle("document.summarize", Bytes::from_static(SUMMARIZE.as_bytes()));
        waiting.push(Some(Box::pin(event) as Pin<Box<dyn Future<Output = Outcome>>>));
    }
    // Some may have gone to a worker first.
    while ai.0.asked.load(Ordering::Relaxed) < events || ai.0.waiting.lock().map_or(0, |waiting| waiting.len()) < events
    {
        assert_eq!(poll_all(&mut waiting), 0, "nobody was answered");
        thread::sleep(Duration::from_millis(5));
    }
    let (begun, after) = (start.elapsed(), process());
    let each = after.0.saturating_sub(before.0) as f64 / events as f64;
    println!(
        "{events} events wait: {each:.0} bytes more each, {} threads, {} before, after {begun:.1?}",
        after.1, before.1
    );

    ai.0.answers.store(true, Ordering::Release);
    let wakers = std::mem::take(&mut *ai.0.waiting.lock().expect("nothing panics while it is held"));
    wakers.into_iter().for_each(Waker::wake);
    let (start, mut done) = (Instant::now(), 0);
    while done < events {
        done += poll_all(&mut waiting);
    }
    println!(
        "all answered, after {:.1?}; each was asked for once: {}",
        start.elapsed(),
        ai.0.asked.load(Ordering::Relaxed) == events
    );

    let outcome = skill.run_with("document.summarize", SUMMARIZE.as_bytes(), Journal::record());
    println!("an event's journal: {} bytes", encode_journal(outcome.journal.entries()).len());
}
