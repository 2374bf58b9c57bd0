//! Many events that wait at once for an AI that does not answer.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use cis_wasm_host::{AiBackend, AiReply, AiRequest, BackendError};

use crate::Fallible;
use crate::child::{Took, took};
use crate::engine::{Engine, Extism, Guests, InFlight, Ours, WasmtimeOptions};
use crate::machine::resident;
use crate::result::{Row, Unit};

/// Nobody's deadline ends the wait.
const LONG: Duration = Duration::from_secs(3600);

/// How long to wait for all events to be waiting.
const PATIENCE: Duration = Duration::from_secs(120);

/// Memory for each of so many waiting events. Of plug-ins, which hold a thread each, there are a tenth as many.
pub(crate) fn row(guests: &Guests, events: usize) -> Fallible<Row> {
    let mut measured = Vec::new();
    let mut notes = Vec::new();
    for (engine, events) in [(Engine::Ours, events), (Engine::Wasmtime, events), (Engine::Extism, events / 10)] {
        match took(guests, &["waiting", "--engine", engine.name(), "--events", &events.to_string()]) {
            Ok(Took { bytes, threads, count }) => {
                measured.push((engine, vec![bytes as f64 / count as f64]));
                notes.push(format!("{}: {count} of {events} events waiting, {threads} threads more", engine.title()));
            }
            Err(error) => notes.push(format!("{}: {error}", engine.title())),
        }
    }
    let row = Row::of("memory per waiting event", &format!("{events} events"), Unit::Bytes, &measured);
    Ok(row.with_note(notes.join("; ")))
}

/// The child's part.
pub(crate) fn waiting(guests: &Guests, engine: Engine, events: usize) -> Fallible<Took> {
    match engine {
        Engine::Ours => ours(guests, events),
        Engine::Wasmtime => fibers(guests, events),
        Engine::Extism => threads(guests, events),
        Engine::Wasmer => Err("plain wasmer waits the way Extism does: a thread for each event".into()),
    }
}

/// An AI that never answers, and counts who asked.
struct Stalled(Arc<AtomicUsize>);

#[async_trait]
impl AiBackend for Stalled {
    async fn chat(&self, _: AiRequest) -> Result<AiReply, BackendError> {
        self.0.fetch_add(1, Ordering::Relaxed);
        std::future::pending().await
    }
}

fn ours(guests: &Guests, events: usize) -> Fallible<Took> {
    let asked = Arc::new(AtomicUsize::new(0));
    let skill = Ours::new()?.load_patient(&std::fs::read(&guests.skill)?, LONG, Stalled(asked.clone()))?;
    let runtime = runtime()?;
    let before = resident();
    for _ in 0..events {
        runtime.spawn(skill.handle("ask", bytes::Bytes::new()));
    }
    let took = once_all_wait(&asked, events, before);
    runtime.shutdown_background();
    Ok(took)
}

fn fibers(guests: &Guests, events: usize) -> Fallible<Took> {
    let options = WasmtimeOptions { instances: u32::try_from(events)?, deadline: Some(LONG), ..Default::default() };
    let skill = Arc::new(InFlight::load_stalled(&std::fs::read(&guests.skill)?, options)?);
    let runtime = runtime()?;
    let before = resident();
    for _ in 0..events {
        let skill = skill.clone();
        runtime.spawn(async move {
            if let Err(error) = skill.wait("ask").await {
                eprintln!("{error}");
            }
        });
    }
    let took = once_all_wait(skill.asked(), events, before);
    runtime.shutdown_background();
    Ok(took)
}

fn threads(guests: &Guests, events: usize) -> Fallible<Took> {
    let asked = Arc::new(AtomicUsize::new(0));
    let counted = asked.clone();
    let stalled = move || {
        counted.fetch_add(1, Ordering::Relaxed);
        loop {
            std::thread::park();
        }
    };
    let plugin = Extism::with(&guests.plugin, None, LONG, Arc::new(stalled))?;
    let before = resident();
    for _ in 0..events {
        let plugin = plugin.clone();
        // Never joined: it waits until the process ends.
        std::thread::Builder::new().spawn(move || {
            if let Err(error) = plugin.plugin().and_then(|mut plugin| Ok(plugin.call::<&[u8], Vec<u8>>("ask", b"")?)) {
                eprintln!("{error}");
            }
        })?;
    }
    Ok(once_all_wait(&asked, events, before))
}

fn runtime() -> Fallible<tokio::runtime::Runtime> {
    Ok(tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?)
}

/// What came into memory once all have asked, or as many as do.
fn once_all_wait(asked: &AtomicUsize, events: usize, (before, threads): (u64, u64)) -> Took {
    let start = Instant::now();
    let (mut seen, mut since) = (0, Instant::now());
    while asked.load(Ordering::Relaxed) < events && start.elapsed() < PATIENCE {
        std::thread::sleep(Duration::from_millis(50));
        let now = asked.load(Ordering::Relaxed);
        if now > seen {
            (seen, since) = (now, Instant::now());
        } else if since.elapsed() > Duration::from_secs(10) {
            break;
        }
    }
    // What the last one is still busy with.
    std::thread::sleep(Duration::from_millis(200));
    let (after, more_threads) = resident();
    Took {
        bytes: after.saturating_sub(before),
        threads: more_threads.saturating_sub(threads),
        count: asked.load(Ordering::Relaxed),
    }
}
