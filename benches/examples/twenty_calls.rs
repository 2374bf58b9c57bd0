//! What it costs an event to wait: an agent that asks the AI twenty times, held on its thread, and put down at every call.
//!
//! `cargo run -p cis-benches --all-features --example twenty_calls -- target/skills/agent.wasm [ROUNDS] [STEPS]`, after
//! `cargo xtask build-skill benches/guests/agent`.
//!
//! Three runtimes take turns, on each compiler: one on which the thread waits for the AI, which answers at once; one on which
//! the event is put down at each call; and one with no room for what an event has come to, so that it is run again from its
//! start every time. Printed are the guest's work by fuel, repeats included, and the processor time of the whole process, as
//! ratios to the event that is held: the medians over the rounds. What comes of the three is compared.
//!
//! Invariant: the one unsafe call writes to a local of the right type.

use std::future::Future;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use cis_wasm_host::{AiBackend, AiReply, AiRequest, BackendError, Host, InMemory, Journal, SkillScope};
use cis_wasm_runtime::{Compiler, LoadSpec, Outcome, RuntimeBuilder, WasmInstance, WasmRuntime};

/// Answers with a step; when it is late, not before it was asked for the answer a second time.
struct Agent {
    late: bool,
}

#[async_trait]
impl AiBackend for Agent {
    async fn chat(&self, request: AiRequest) -> Result<AiReply, BackendError> {
        let mut ready = !self.late;
        std::future::poll_fn(|context| match std::mem::replace(&mut ready, true) {
            true => Poll::Ready(()),
            false => {
                context.waker().wake_by_ref();
                Poll::Pending
            }
        })
        .await;
        let number = request.prompt.len();
        let findings: Vec<String> = (0..4)
            .map(|finding| {
                let score = (number * 7 + finding * 31) % 97;
                format!(
                    r#"{{"title": "Result {number}-{finding} of the search, as it was found", "source": "https://example.com/{number}/{finding}", "score": 0.{score:02}}}"#
                )
            })
            .collect();
        let text = format!(
            r#"{{"thought": "What was found so far does not say who wrote it; the archive may.", "tool": "search", "arguments": ["author of {number}", "archive", "1984"], "confidence": 0.8125, "findings": [{}]}}"#,
            findings.join(", ")
        );
        Ok(AiReply { text, prompt_tokens: 200, reply_tokens: 120 })
    }
}

fn load(wasm: &[u8], runtime: RuntimeBuilder, late: bool) -> (WasmInstance, WasmRuntime) {
    let mut scope = SkillScope::new("agent".parse().expect("a fixed name"));
    scope.grants.ai = true;
    for resource in cis_wasm_host::Resource::ALL {
        scope.budget = scope.budget.with(resource, u64::MAX);
    }
    let mut spec = LoadSpec::new(scope, Host::builder().memory(InMemory::new()).ai(Agent { late }).build());
    spec.limits.deadline = Duration::from_secs(600);
    spec.park_after = Duration::ZERO;
    let runtime = runtime.workers(1).build().expect("there are threads");
    (runtime.load(wasm, spec).unwrap_or_else(|error| panic!("{error}")), runtime)
}

/// What this process has had of the processors: those of others do not count.
fn processor_time() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the kernel writes one `timespec`, which `time` has room for.
    let result = unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &mut time) };
    assert_eq!(result, 0, "every process has this clock");
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

fn median(mut all: Vec<f64>) -> f64 {
    all.sort_by(f64::total_cmp);
    all[all.len() / 2]
}

#[track_caller]
fn same(one: &Outcome, other: &Outcome) {
    let body = |outcome: &Outcome| outcome.result.clone().unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(body(one), body(other));
    assert_eq!((&one.log, one.receipt.ledger), (&other.log, other.receipt.ledger));
    assert_eq!(
        (one.receipt.fuel, one.receipt.memory_bytes, one.journal.entries()),
        (other.receipt.fuel, other.receipt.memory_bytes, other.journal.entries())
    );
}

fn main() {
    const EVENTS: usize = 20;
    let mut args = std::env::args().skip(1);
    let path = args.next().expect("the agent's .wasm");
    let mut number = |default: usize| args.next().map_or(default, |text| text.parse().expect("a number"));
    let (rounds, steps) = (number(25), number(20));
    let wasm = std::fs::read(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    let data = Bytes::from(format!(r#"{{"goal": "Find out who wrote the letter of 1984.", "steps": {steps}}}"#));

    for compiler in Compiler::ALL {
        let runtime = || WasmRuntime::builder().compiler(*compiler);
        let (held, _) = load(&wasm, runtime(), false);
        let (parked, of_parked) = load(&wasm, runtime(), true);
        let (again, _) = load(&wasm, runtime().max_checkpoint_bytes(0), true);
        let park = |skill: &WasmInstance, journal| pollster::block_on(skill.handle_with("go", data.clone(), journal));

        let first = held.run_with("go", &data, Journal::record());
        let (mut fuel, mut rests, mut kept) = (Vec::new(), Vec::new(), 0);
        for skill in [&parked, &again] {
            // Skills learn how long their events take: where they settle is what counts.
            for _ in 0..50 {
                park(skill, Journal::record());
            }
            let before = skill.repeated_fuel();
            let outcome = park(skill, Journal::record().traced());
            same(&outcome, &first);
            fuel.push((skill.repeated_fuel() - before + first.receipt.fuel) as f64 / first.receipt.fuel as f64);
            // What is kept of it, at the most, while it waits.
            let mut event = pin!(skill.handle("go", data.clone()));
            pollster::block_on(std::future::poll_fn(|context| {
                let polled = event.as_mut().poll(context);
                kept = kept.max(of_parked.checkpoint_bytes());
                polled
            }));
            rests.push(outcome.journal.trace().map_or(0, |trace| trace.rests().len()));
        }

        let (mut to_parked, mut to_again, mut alone) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..rounds {
            let time = |run: &dyn Fn()| {
                let start = processor_time();
                (0..EVENTS).for_each(|_| run());
                (processor_time() - start).as_secs_f64() / EVENTS as f64
            };
            let holds = time(&|| drop(held.run("go", &data)));
            to_parked.push(time(&|| drop(park(&parked, Journal::OFF))) / holds);
            to_again.push(time(&|| drop(park(&again, Journal::OFF))) / holds);
            alone.push(holds * 1e6);
        }
        println!(
            "{}: {steps} calls, {} units of fuel, {:.0} us held\n  put down {} times: {:.2} of the fuel, {:.2} of the processor time, {} KiB kept at the most\n  \
             and run again from its start each time ({}): {:.2} and {:.2}",
            compiler.name(),
            first.receipt.fuel,
            median(alone),
            rests[0],
            fuel[0],
            median(to_parked),
            kept >> 10,
            rests[1],
            fuel[1],
            median(to_again),
        );
    }
}
