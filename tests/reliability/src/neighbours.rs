//! How long a well-behaved skill's events take on the runtime's workers, alone and beside skills that take all they can.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use cis_skill::wasm::{Compiler, Limits, WasmRuntime};
use cis_skill::{
    AiBackend, AiReply, AiRequest, BackendError, Event, FailurePolicy, Host, InMemory, LoadOptions, Manifest,
    SkillManager, async_trait,
};
use futures_util::stream::{FuturesUnordered, StreamExt};

use crate::Outcome;
use crate::census::Busy;
use crate::figures::Spread;
use crate::guests::{BUMP, echo, module};

/// How long a hostile event may go on.
const DEADLINE: Duration = Duration::from_secs(2);

/// Hostile events in flight at a time, of each hostile skill. More than the runtime holds waiting threads for.
const FLOOD: usize = 100;

/// A hostile neighbour.
struct Hostile {
    name: &'static str,
    state: &'static str,
    fields: &'static str,
    body: &'static str,
}

const fn hostile(name: &'static str, state: &'static str, fields: &'static str, body: &'static str) -> Hostile {
    Hostile { name, state, fields, body }
}

const HOSTILE: [Hostile; 5] = [
    hostile("spin", "fresh", "", "(loop $forever (br $forever)) unreachable"),
    hostile("spin-kept", "kept", "", "(loop $forever (br $forever)) unreachable"),
    hostile(
        "fill",
        "fresh",
        "",
        "(drop (memory.grow (i32.const 512)))
         (loop $more (memory.fill (i32.const 65536) (i32.const 7) (i32.const 33554432)) (br $more)) unreachable",
    ),
    hostile("hang", "fresh", BUMP, "(call $chat (i32.const 0) (i32.const 4))"),
    hostile("short", "fresh", "", "(call $pack (local.get $data) (local.get $len))"),
];

/// Who is beside the well-behaved skill, by name.
const SITUATIONS: [(&str, &[&str]); 7] = [
    ("alone", &[]),
    ("beside endless loops", &["spin"]),
    ("beside endless loops, kept", &["spin-kept"]),
    ("beside memory.fill of 32 MiB", &["fill"]),
    ("beside waits for an AI that hangs", &["hang"]),
    ("beside a flood of short events", &["short"]),
    ("beside all of them", &["spin", "spin-kept", "fill", "hang", "short"]),
];

struct HungAi;

#[async_trait]
impl AiBackend for HungAi {
    async fn chat(&self, _: AiRequest) -> Result<AiReply, BackendError> {
        std::future::pending().await
    }
}

fn manager(compiler: Compiler) -> Result<SkillManager, Box<dyn std::error::Error>> {
    let manager = SkillManager::builder()
        .runtime(WasmRuntime::builder().compiler(compiler).build()?)
        .host(Host::builder().memory(InMemory::new()).ai(HungAi).build())
        .limits(Limits { deadline: DEADLINE, fuel: u64::MAX, ..Limits::default() })
        .failure_policy(FailurePolicy { in_a_row: 0, ..FailurePolicy::default() })
        .build()?;
    for Hostile { name, state, fields, body } in HOSTILE {
        let text = format!(
            "name = \"{name}\"\nversion = \"1.0.0\"\nstate = \"{state}\"\n\
             [permissions]\nai = true\n[limits]\nfuel = 1000000000000000000\n"
        );
        let manifest: Manifest = text.parse()?;
        manager.load_wasm(name, &module(fields, body), LoadOptions::default().manifest(manifest))?;
    }
    manager.load_wasm("good", &echo(), LoadOptions::default())?;
    Ok(manager)
}

/// Keeps so many events of a skill in flight until `over`.
fn flood(manager: &SkillManager, skill: &str, over: &AtomicBool, sent: &AtomicUsize) {
    let send = |_| {
        sent.fetch_add(1, Ordering::SeqCst);
        manager.send_event(skill, Event::new("x", "x"))
    };
    pollster::block_on(async {
        let mut flying: FuturesUnordered<_> = (0..FLOOD).map(send).collect();
        while !over.load(Ordering::SeqCst) && flying.next().await.is_some() {
            flying.push(send(0));
        }
        // Those in flight are cancelled here.
    });
}

pub(crate) fn run(events: usize) -> Outcome {
    println!(
        "Latency of a well-behaved skill's events on the workers, in ms; {FLOOD} events of each neighbour in flight.\n"
    );
    println!("{:12} {:36} {:>7} {:>9} {:>9} {:>9}", "", "", "events", "p50", "p99", "most");
    let busy = Busy::now()?;
    for compiler in Compiler::ALL {
        for (situation, beside) in SITUATIONS {
            let spread = measure(*compiler, beside, events)?;
            println!("{:12} {situation:36} {:>7} {spread}", compiler.name(), spread.count());
        }
    }
    println!("\n{}", busy.line()?);
    Ok(())
}

fn measure(compiler: Compiler, beside: &[&str], events: usize) -> Result<Spread, Box<dyn std::error::Error>> {
    let manager = manager(compiler)?;
    let (over, mut spread) = (AtomicBool::new(false), Spread::default());
    let floods: Vec<AtomicUsize> = beside.iter().map(|_| AtomicUsize::new(0)).collect();
    thread::scope(|scope| -> Outcome {
        for (skill, sent) in beside.iter().zip(&floods) {
            let (manager, over) = (&manager, &over);
            scope.spawn(move || flood(manager, skill, over, sent));
        }
        // The neighbours have all they send in flight.
        while floods.iter().any(|sent| sent.load(Ordering::SeqCst) < FLOOD) {
            thread::sleep(Duration::from_millis(1));
        }
        let sent = (0..events).try_for_each(|number| {
            let event = Event::new("x", format!("event {number}"));
            let begin = Instant::now();
            let response = pollster::block_on(manager.send_event("good", event))?;
            spread.add(begin.elapsed());
            match response.text()? == format!("event {number}") {
                true => Ok(()),
                false => Err(format!("event {number} was answered with {:?}", response.text()).into()),
            }
        });
        over.store(true, Ordering::SeqCst);
        sent
    })?;
    Ok(spread)
}
