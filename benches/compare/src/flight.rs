//! Events in flight: many on few threads, and one by itself.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::runtime::Runtime;

use crate::Fallible;
use crate::engine::{Engine, Guests, InFlight, Ours, State, WasmtimeOptions};
use crate::measure::{LONG_PART, Timed, in_turns, in_turns_of, timed};
use crate::result::{Row, Unit};
use crate::workload::Workload;

const THREADS: usize = 2;
const IN_FLIGHT: u64 = 64;

/// Fresh `agent-step`, 64 at a time on 2 threads: the time per event, which is what is left of a second for each.
pub(crate) fn row(guests: &Guests, turns: usize) -> Fallible<Row> {
    let step = Workload::named("agent-step").ok_or("there is an agent-step")?;
    let skill = std::fs::read(&guests.skill)?;
    let data = Bytes::from(step.data.clone());
    let kind = step.kind;
    let ours = Ours::new()?.load(&skill, State::Fresh)?;
    let theirs = Arc::new(InFlight::load(&skill, WasmtimeOptions::default())?);
    // Each has threads of its own, which sleep while it is not its turn.
    let runtimes = (runtime(THREADS)?, runtime(THREADS)?);
    let our_data = data.clone();
    let mut engines: [(Engine, Timed<'_>); 2] = [
        (
            Engine::Ours,
            in_flight(&runtimes.0, move || {
                let (ours, data) = (ours.clone(), Bytes::copy_from_slice(&our_data));
                move || {
                    let event = ours.handle(kind, data.clone());
                    async move { Ok(event.await.result?.len()) }
                }
            }),
        ),
        (
            Engine::Wasmtime,
            in_flight(&runtimes.1, move || {
                let (theirs, data) = (theirs.clone(), Bytes::copy_from_slice(&data));
                move || {
                    let (theirs, data) = (theirs.clone(), data.clone());
                    async move { Ok(theirs.event(kind, &data).await?.len()) }
                }
            }),
        ),
    ];
    let measured = in_turns_of(LONG_PART, turns, &mut engines)?;
    let note = "one event's share of the time; a second divided by it is events per second";
    Ok(Row::of("agent-step, 64 in flight", "fresh, 2 threads", Unit::Nanoseconds, &measured).with_note(note))
}

/// Fresh `echo-1k`, one after another, each awaited on the calling thread: what being asynchronous costs.
pub(crate) fn one_row(guests: &Guests, turns: usize) -> Fallible<Row> {
    let echo = Workload::named("echo-1k").ok_or("there is an echo-1k")?;
    let skill = std::fs::read(&guests.skill)?;
    let data = Bytes::from(echo.data.clone());
    let kind = echo.kind;
    let ours = Ours::new()?.load(&skill, State::Fresh)?;
    let theirs = InFlight::load(&skill, WasmtimeOptions::default())?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut engines: [(Engine, Timed<'_>); 2] = [
        (
            Engine::Ours,
            timed(|| {
                runtime.block_on(ours.handle(kind, data.clone())).result?;
                Ok(())
            }),
        ),
        (Engine::Wasmtime, timed(|| runtime.block_on(theirs.event(kind, &data)).map(drop))),
    ];
    let measured = in_turns(turns, &mut engines)?;
    Ok(Row::of("echo-1k, 1 in flight", "fresh, async", Unit::Nanoseconds, &measured))
}

pub(crate) fn runtime(threads: usize) -> Fallible<Runtime> {
    Ok(tokio::runtime::Builder::new_multi_thread().worker_threads(threads).enable_all().build()?)
}

/// So many events, 64 of them at any time. Each of 64 tasks sees to its share, one after another, with a sender of its own.
pub(crate) fn in_flight<'a, S, F>(runtime: &'a Runtime, sender: impl Fn() -> S + 'a) -> Timed<'a>
where
    S: Fn() -> F + Send + Sync + 'static,
    F: Future<Output = Fallible<usize>> + Send + 'static,
{
    Box::new(move |times| -> Fallible<Duration> {
        let start = Instant::now();
        runtime.block_on(async {
            let mut tasks = Vec::new();
            for task in 0..IN_FLIGHT.min(times) {
                let event = sender();
                tasks.push(tokio::spawn(async move {
                    for _ in (task..times).step_by(IN_FLIGHT as usize) {
                        if event().await? == 0 {
                            return Err("an event was answered with nothing".into());
                        }
                    }
                    Fallible::Ok(())
                }));
            }
            for task in tasks {
                task.await??;
            }
            Fallible::Ok(())
        })?;
        Ok(start.elapsed())
    })
}
