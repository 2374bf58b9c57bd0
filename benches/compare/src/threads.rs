//! Events on two threads: how many more than on one.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::Fallible;
use crate::engine::{Engine, Guests, InFlight, Ours, State, WasmtimeOptions};
use crate::flight::{in_flight, runtime};
use crate::measure::{LONG_PART, Timed, in_turns_of};
use crate::result::{Row, Unit};
use crate::workload::Workload;

/// Fresh `echo-1k` and `agent-step`, on the blocking entry point and on the async one: events per second on two threads over
/// those on one, all threads sending to one skill.
pub(crate) fn rows(guests: &Guests, turns: usize) -> Fallible<Vec<Row>> {
    let mut rows = Vec::new();
    for name in ["echo-1k", "agent-step"] {
        rows.push(blocking(guests, name, turns)?);
        rows.push(asynchronous(guests, name, turns)?);
    }
    Ok(rows)
}

fn blocking(guests: &Guests, name: &str, turns: usize) -> Fallible<Row> {
    let Subjects { ours, theirs, kind, data } = Subjects::load(guests, name)?;
    let run = || {
        let (ours, data) = (ours.clone(), data.clone());
        move || ours.run(kind, &data).result.map(drop).map_err(Into::into)
    };
    let run_theirs = || {
        let (theirs, data) = (theirs.clone(), data.clone());
        move || theirs.event_now(kind, &data).map(drop)
    };
    // What a machine gives two threads that share nothing.
    let spin = || {
        std::hint::black_box((0..1_000_u32).fold(1_u32, |state, step| std::hint::black_box(state ^ step)));
        Ok(())
    };
    let measured = in_turns_of(
        LONG_PART,
        turns,
        &mut [
            (Engine::Ours, team(1, run())),
            (Engine::Ours, team(2, run())),
            (Engine::Wasmtime, team(1, run_theirs())),
            (Engine::Wasmtime, team(2, run_theirs())),
            (Engine::Ours, team(1, spin)),
            (Engine::Ours, team(2, spin)),
        ],
    )?;
    let free = crate::result::Spread::of(&over(&measured[4].1, &measured[5].1)).median;
    let note = format!("a loop that shares nothing gets {free:.2}x from the second thread, in the same turns");
    Ok(row(name, "fresh, blocking", &measured).with_note(note))
}

fn asynchronous(guests: &Guests, name: &str, turns: usize) -> Fallible<Row> {
    let Subjects { ours, theirs, kind, data } = Subjects::load(guests, name)?;
    let (ours, runtimes) = (Arc::new(ours), [runtime(1)?, runtime(2)?, runtime(1)?, runtime(2)?]);
    let run = || {
        let (ours, data) = (ours.clone(), Bytes::copy_from_slice(&data));
        move || {
            let event = ours.handle(kind, data.clone());
            async move { Ok(event.await.result?.len()) }
        }
    };
    let run_theirs = || {
        let (theirs, data) = (theirs.clone(), Bytes::copy_from_slice(&data));
        move || {
            let (theirs, data) = (theirs.clone(), data.clone());
            async move { Ok(theirs.event(kind, &data).await?.len()) }
        }
    };
    let measured = in_turns_of(
        LONG_PART,
        turns,
        &mut [
            (Engine::Ours, in_flight(&runtimes[0], run)),
            (Engine::Ours, in_flight(&runtimes[1], run)),
            (Engine::Wasmtime, in_flight(&runtimes[2], run_theirs)),
            (Engine::Wasmtime, in_flight(&runtimes[3], run_theirs)),
        ],
    )?;
    Ok(row(name, "fresh, 64 in flight", &measured))
}

/// A skill as both engines have it, and what is sent to it.
struct Subjects {
    ours: cis_wasm_runtime::WasmInstance,
    theirs: Arc<InFlight>,
    kind: &'static str,
    data: Bytes,
}

impl Subjects {
    fn load(guests: &Guests, name: &str) -> Fallible<Self> {
        let workload = Workload::named(name).ok_or("there is no such workload")?;
        let skill = std::fs::read(&guests.skill)?;
        let ours = Ours::new()?.load(&skill, State::Fresh)?;
        let theirs = Arc::new(InFlight::load(&skill, WasmtimeOptions::default())?);
        Ok(Subjects { ours, theirs, kind: workload.kind, data: workload.data.into() })
    }
}

/// From each engine's times on one thread and on two, in pairs.
fn row(name: &str, variant: &str, measured: &[(Engine, Vec<f64>)]) -> Row {
    let gain = |at: usize| (measured[at].0, over(&measured[at].1, &measured[at + 1].1));
    let mut row = Row::of(&format!("{name}, 2 threads over 1"), variant, Unit::Times, &[gain(0), gain(2)]);
    // More is better here, so theirs over ours would say the opposite of what it says in other rows.
    row.cells.values_mut().for_each(|cell| cell.ratio = None);
    row
}

fn over(one: &[f64], two: &[f64]) -> Vec<f64> {
    one.iter().zip(two).map(|(one, two)| one / two).collect()
}

/// So many threads, which begin together and share the work. They live as long as the result.
fn team(threads: u64, once: impl Fn() -> Fallible<()> + Send + Sync + 'static) -> Timed<'static> {
    let once = Arc::new(once);
    let (told, tell): (Vec<_>, Vec<_>) = (0..threads)
        .map(|_| {
            let (give, work) = mpsc::channel::<(u64, Arc<AtomicU64>)>();
            let (say, said) = mpsc::channel();
            let once = once.clone();
            std::thread::spawn(move || {
                for (times, ready) in work {
                    ready.fetch_add(1, Ordering::SeqCst);
                    while ready.load(Ordering::SeqCst) < threads {
                        std::hint::spin_loop();
                    }
                    let start = Instant::now();
                    let done = (0..times).try_for_each(|_| once());
                    if say.send(done.map(|()| start.elapsed())).is_err() {
                        break;
                    }
                }
            });
            (said, give)
        })
        .unzip();
    Box::new(move |times| {
        let ready = Arc::new(AtomicU64::new(0));
        for thread in &tell {
            thread.send((times.div_ceil(threads), ready.clone())).map_err(|_| "a thread has ended")?;
        }
        let took = told.iter().map(|thread| thread.recv().map_err(|_| "a thread has ended")?);
        took.collect::<Vec<_>>().into_iter().try_fold(Duration::ZERO, |longest, took| Ok(longest.max(took?)))
    })
}
