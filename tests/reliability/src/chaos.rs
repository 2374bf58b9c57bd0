//! Events of all kinds to skills of all kinds, against backends that do everything wrong, while somebody meddles with one
//! of the skills. Every event must end as what was asked for ends, and everything must work afterwards.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Waker};
use std::thread;
use std::time::Duration;

use cis_skill::wasm::{Limits, WasmRuntime};
use cis_skill::{
    EgressClient, EgressPolicy, Error, Event, FailurePolicy, Host, LoadOptions, Manifest, RegisterOptions, Response,
    Skill, SkillContext, SkillManager, SkillState, async_trait,
};
use futures_util::stream::{FuturesUnordered, StreamExt};

use crate::Outcome;
use crate::backends::{Ai, Http, MANNERS, Manner, Memory};
use crate::census::Census;
use crate::guests::{BUMP, CALLS, DEEDS, jack};
use crate::server::Server;

/// What an event may take. Short, because a stalled backend takes all of it.
const DEADLINE: Duration = Duration::from_millis(100);

/// Events in flight at a time on the runtime's workers.
const IN_FLIGHT: usize = 24;

const SKILLS: [&str; 4] = ["fresh", "kept", "meddled", "native"];

/// Paths of the real server, and what a request to them ends with.
const PATHS: [(&str, &str); 10] = [
    ("ok", "ok"),
    ("close", "backend_failed"),
    ("junk", "backend_failed"),
    ("half", "backend_failed"),
    ("huge", "too_large"),
    ("error", "upstream_error"),
    ("missing", "upstream_error"),
    ("bounce", "upstream_error"),
    ("stall", "deadline_exceeded"),
    ("drip", "deadline_exceeded"),
];

/// What may stay allocated: keys that were stored, and what a library keeps for the next time.
const KEPT_KIB: u64 = 512;

/// How an event is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// On the sender's own thread.
    Blocking,
    /// On the runtime's workers.
    Waiting,
    /// On the runtime's workers, by a sender that soon gives up.
    GivingUp,
}

/// One event.
#[derive(Clone, Debug)]
struct Plan {
    skill: &'static str,
    event_type: String,
    data: String,
    way: Way,
    /// What it may end with: `ok` or error codes.
    ends: Vec<&'static str>,
}

impl Plan {
    fn roll(dice: &mut fastrand::Rng, origin: &str, number: usize) -> Plan {
        let skill = SKILLS[dice.usize(..SKILLS.len())];
        let native = skill == "native";
        let mut way = match dice.u8(..10) {
            0..5 => Way::Blocking,
            5..9 => Way::Waiting,
            _ => Way::GivingUp,
        };
        let (event_type, data, ends) = match dice.u8(..20) {
            0..9 => {
                let call = CALLS[dice.usize(..CALLS.len())].letter;
                let (name, manner, end) = MANNERS[dice.usize(..MANNERS.len())];
                let data = format!("{}{name}/{}", if call == 'h' { "http://made-up/" } else { "" }, number % 50);
                if native && manner == Manner::Stalling {
                    // No deadline ends a native skill's call.
                    way = Way::GivingUp;
                }
                let answers_nothing = matches!(call, 's' | 'd');
                let wrong_answer = matches!(manner, Manner::Garbage | Manner::TooMuch);
                (format!("{call}/{number}"), data, vec![if answers_nothing && wrong_answer { "ok" } else { end }])
            }
            9..12 => {
                let (path, end) = PATHS[dice.usize(..PATHS.len())];
                if native && end == "deadline_exceeded" {
                    way = Way::GivingUp;
                }
                (format!("h/{number}"), format!("{origin}/{path}"), vec![end])
            }
            12..16 => {
                let deed = DEEDS[dice.usize(..DEEDS.len())];
                let ends = match deed.letter {
                    'E' => deed.ends.to_vec(),
                    _ if native => vec!["skill_panicked"],
                    _ => deed.ends.to_vec(),
                };
                (format!("{}/{number}", deed.letter), "data".to_owned(), ends)
            }
            _ => ("x".to_owned(), format!("event {number}"), vec!["ok"]),
        };
        Plan { skill, event_type, data, way, ends }
    }

    fn event(&self) -> Event {
        Event::new(self.event_type.clone(), self.data.clone())
    }

    /// Whether the event may end so.
    fn foresees(&self, end: &str) -> bool {
        // A skill that failed too often in a row is refused events, and a slow machine is no failure.
        let always = ["skill_failed_state", "deadline_exceeded"];
        let meddled = ["not_active", "event_withdrawn", "queue_full", "unknown_skill"];
        self.ends.contains(&end) || always.contains(&end) || (self.skill == "meddled" && meddled.contains(&end))
    }
}

/// What became of the events.
#[derive(Default)]
struct Tally {
    ends: BTreeMap<&'static str, usize>,
    given_up: usize,
    /// Ended by the deadline where nothing stalled.
    late: usize,
    unforeseen: Vec<String>,
}

impl Tally {
    fn note(&mut self, plan: &Plan, result: &Result<Response, Error>) {
        let end = result.as_ref().map_or_else(Error::code, |_| "ok");
        *self.ends.entry(end).or_default() += 1;
        self.late += usize::from(end == "deadline_exceeded" && !plan.ends.contains(&end));
        if !plan.foresees(end) {
            self.unforeseen.push(format!("{plan:?} ended with {end}: {result:?}"));
        }
        if end == "ok"
            && plan.event_type == "x"
            && result.as_ref().is_ok_and(|response| response.body() != plan.data.as_bytes())
        {
            self.unforeseen.push(format!("{plan:?} was answered with {result:?}"));
        }
    }
}

/// The native counterpart of [`jack`].
struct Native;

#[async_trait]
impl Skill for Native {
    fn name(&self) -> &str {
        "native"
    }

    fn version(&self) -> &str {
        "1.0.0"
    }

    async fn handle_event(&self, ctx: &mut SkillContext, event: Event) -> cis_skill::Result<Response> {
        let data = String::from_utf8_lossy(event.data()).into_owned();
        match event.event_type().chars().next() {
            Some('g') => ctx.memory_get(&data).await.map(|value| Response::new(value.unwrap_or_default())),
            Some('s') => ctx.memory_set(&data, data.clone()).await.map(|()| Response::empty()),
            Some('d') => ctx.memory_delete(&data).await.map(|_| Response::empty()),
            Some('l') => ctx.memory_list(&data).await.map(|keys| Response::new(keys.join(","))),
            Some('a') => ctx.ai_chat(&data).await.map(Response::new),
            Some('h') => ctx.http_post(&data, "x").await.map(Response::new),
            Some('E') => Err(Error::skill("it went wrong")),
            Some('A'..='Z') => panic!("as it was told"),
            _ => Ok(Response::new(event.data().clone())),
        }
    }
}

fn options(name: &str, origin: &str) -> LoadOptions {
    let state = if name == "kept" { "kept" } else { "fresh" };
    let text = format!(
        "name = \"{name}\"\nversion = \"1.0.0\"\nstate = \"{state}\"\n\
         [permissions]\nai = true\nhttp.allow = [\"http://made-up\", \"{origin}\"]\n\
         [limits]\nfuel = 5000000\nhost_calls = 2000\nlog_lines = 100\n"
    );
    let manifest: Manifest = text.parse().expect("a manifest of ours");
    LoadOptions::default().manifest(manifest)
}

pub(crate) fn run(events: usize, seed: u64) -> Outcome {
    static STRAY: AtomicUsize = AtomicUsize::new(0);
    // The panics that were asked for are no news; any other one is.
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        if !panic.payload_as_str().is_some_and(|text| text.starts_with("as it was told")) {
            STRAY.fetch_add(1, Ordering::SeqCst);
            usual(panic);
        }
    }));

    let server = Server::start()?;
    let origin = server.origin();
    // The compiler has a pool of threads that lasts as long as the process.
    WasmRuntime::new()?.load_skill(&jack(""))?;
    let empty = Census::quiet()?;
    println!("before            {empty}");
    let tally = {
        let host = Host::builder()
            .memory(Memory::default())
            .ai(Ai)
            .http(Http { client: EgressClient::new(EgressPolicy::deny_private().allow_host("127.0.0.1")?)? })
            .build();
        let manager = SkillManager::builder()
            .host(host)
            .runtime(WasmRuntime::builder().max_held(16).build()?)
            .limits(Limits { deadline: DEADLINE, ..Limits::default() })
            .failure_policy(FailurePolicy {
                back_off: Duration::from_millis(1),
                longest_back_off: Duration::from_millis(8),
                ..FailurePolicy::default()
            })
            .queue_bound(8)
            .build()?;
        let fresh = jack(BUMP);
        manager.load_wasm("fresh", &fresh, options("fresh", &origin))?;
        manager.load_wasm("kept", &jack(""), options("kept", &origin))?;
        manager.load_wasm("meddled", &fresh, options("meddled", &origin))?;
        let grants = manager.info("fresh")?.grants;
        pollster::block_on(manager.register_with(Native, RegisterOptions::default().grants(grants)))?;

        // Everything that starts with its first use has started.
        let all_well = Plan {
            skill: "fresh",
            event_type: "h/0".into(),
            data: format!("{origin}/ok"),
            way: Way::Waiting,
            ends: vec!["ok"],
        };
        pollster::block_on(manager.send_event("fresh", all_well.event()))?;
        let warm = Census::quiet()?;
        println!("warm              {warm}");

        let mut dice = fastrand::Rng::with_seed(seed);
        let plans: Vec<Plan> = (0..events).map(|number| Plan::roll(&mut dice, &origin, number)).collect();
        let tally = storm(&manager, plans, &|dice| meddle(&manager, &fresh, &origin, dice), seed)?;

        afterwards(&manager, &origin)?;
        // The workers that stood in for waiting ones are gone; of those that came first, all may be there by now.
        let workers = thread::available_parallelism().map_or(1, usize::from);
        let allowed = Census { threads: warm.threads + workers, ..warm };
        let after = Census::settled(&allowed)?;
        println!("after             {after}");
        after.within(&allowed, "after the events")?;
        after.allocates(&warm, KEPT_KIB, "after the events")?;
        let failed = pollster::block_on(manager.shutdown());
        if let Some((skill, error)) = failed.first() {
            return Err(format!("the shutdown of {skill}: {error}").into());
        }
        tally
    };
    let end = Census::settled(&empty)?;
    println!("all dropped       {end}\n");
    end.within(&empty, "at the end")?;
    end.allocates(&empty, KEPT_KIB, "at the end")?;

    println!("{events} events, seed {seed}; {} were given up by their senders. The others ended with:", tally.given_up);
    for (code, count) in &tally.ends {
        println!("{count:8} {code}");
    }
    println!("{} of the deadlines passed where nothing stalled: the machine was busy.", tally.late);
    let answered: usize = tally.ends.values().sum();
    if answered + tally.given_up != events {
        return Err(format!("{answered} answers and {} given up, of {events} events", tally.given_up).into());
    }
    if let Some(first) = tally.unforeseen.first() {
        return Err(
            format!("{} events ended otherwise than foreseen, the first: {first}", tally.unforeseen.len()).into()
        );
    }
    match STRAY.load(Ordering::SeqCst) {
        0 => Ok(()),
        stray => Err(format!("{stray} panics that nobody asked for").into()),
    }
}

/// Sends all events, on several threads and in several ways.
fn storm(
    manager: &SkillManager,
    plans: Vec<Plan>,
    meddle: &(dyn Fn(&mut fastrand::Rng) -> Result<(), String> + Sync),
    seed: u64,
) -> Result<Tally, String> {
    let tally = Mutex::new(Tally::default());
    let note = |plan: &Plan, result: Result<Response, Error>| {
        tally.lock().expect("nobody panics with the tally").note(plan, &result);
    };
    let (blocking, others): (Vec<Plan>, Vec<Plan>) = plans.into_iter().partition(|plan| plan.way == Way::Blocking);
    let blocking = Mutex::new(blocking.into_iter());
    let next_blocking = || blocking.lock().expect("nobody panics with the plans").next();
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        let meddling = scope.spawn(|| {
            let mut dice = fastrand::Rng::with_seed(seed ^ 0xC1A0);
            while !over.load(Ordering::SeqCst) {
                meddle(&mut dice)?;
                thread::sleep(Duration::from_millis(2));
            }
            Ok(())
        });
        let mut lanes = vec![scope.spawn(|| pollster::block_on(in_flight(manager, others, &note, &tally)))];
        lanes.extend((0..4).map(|_| {
            scope.spawn(|| {
                while let Some(plan) = next_blocking() {
                    note(&plan, manager.send_event_blocking(plan.skill, plan.event()));
                }
            })
        }));
        let ended: Vec<_> = lanes.into_iter().map(|lane| lane.join().is_ok()).collect();
        over.store(true, Ordering::SeqCst);
        if ended.contains(&false) {
            return Err("a thread that sends panicked".to_owned());
        }
        meddling.join().unwrap_or_else(|_| Err("the meddler panicked".into()))
    })?;
    tally.into_inner().map_err(|_| "a panic with the tally".into())
}

/// Sends events on the workers, many at a time. Those that are given up are so while they run.
async fn in_flight(
    manager: &SkillManager,
    plans: Vec<Plan>,
    note: &(dyn Fn(&Plan, Result<Response, Error>) + Sync),
    tally: &Mutex<Tally>,
) {
    type Sent = Pin<Box<dyn Future<Output = cis_skill::Result<Response>> + Send>>;
    let mut waiting = FuturesUnordered::new();
    let mut soon_given_up: Vec<Sent> = Vec::new();
    for plan in plans {
        let mut sent: Sent = Box::pin(manager.send_event(plan.skill, plan.event()));
        if plan.way == Way::GivingUp {
            tally.lock().expect("nobody panics with the tally").given_up += 1;
            // The first poll is what sends it. Whether it has ended by then makes no difference: nobody looks.
            let _ = sent.as_mut().poll(&mut Context::from_waker(Waker::noop()));
            soon_given_up.push(sent);
            if soon_given_up.len() == 8 {
                soon_given_up.clear();
            }
        } else {
            waiting.push(async move { (sent.await, plan) });
        }
        if waiting.len() >= IN_FLIGHT {
            let (result, plan) = waiting.next().await.expect("there are some");
            note(&plan, result);
        }
    }
    drop(soon_given_up);
    while let Some((result, plan)) = waiting.next().await {
        note(&plan, result);
    }
}

/// Does something to the skill `meddled`, and leaves it active.
fn meddle(manager: &SkillManager, wasm: &[u8], origin: &str, dice: &mut fastrand::Rng) -> Result<(), String> {
    let name = "meddled";
    let options = || options(name, origin);
    let pause = |then: fn(&SkillManager) -> cis_skill::Result<()>| {
        // A skill that has just failed cannot be paused.
        if manager.pause(name).is_ok() {
            thread::sleep(Duration::from_millis(3));
            then(manager)?;
        }
        Ok(())
    };
    let done: cis_skill::Result<()> = match dice.u8(..7) {
        0 => pause(|manager| manager.resume("meddled")),
        1 => pause(|manager| manager.deactivate("meddled").and_then(|()| manager.activate("meddled"))),
        2 => manager.deactivate(name).and_then(|()| manager.activate(name)),
        3 => pollster::block_on(manager.unload(name)).and_then(|()| manager.load_wasm(name, wasm, options())),
        4 => match manager.reload(name, b"no wasm", options()) {
            Err(error) if error.code() == "invalid_module" => Ok(()),
            other => return Err(format!("a reload of no module came to {other:?}")),
        },
        _ => manager.reload(name, wasm, options()),
    };
    done.map_err(|error| format!("meddling: {error}"))
}

/// Every skill answers a benign event, and nothing runs or waits any more.
fn afterwards(manager: &SkillManager, origin: &str) -> Outcome {
    for skill in SKILLS {
        if manager.info(skill)?.state == SkillState::Failed {
            manager.activate(skill)?;
        }
        let calls = [("x", "well"), ("s", "well/0"), ("a", "well"), ("h", &format!("{origin}/ok"))];
        for (event_type, data) in calls {
            let event = Event::new(event_type, data.to_owned());
            pollster::block_on(manager.send_event(skill, event.clone()))
                .map_err(|error| format!("{skill}, on a worker, afterwards: {error}"))?;
            manager.send_event_blocking(skill, event).map_err(|error| format!("{skill}, afterwards: {error}"))?;
        }
    }
    // Events that were given up end a moment later.
    for _ in 0..1_000 {
        if manager.list().iter().all(|info| info.running == 0 && info.queued == 0) {
            return Ok(());
        }
        thread::sleep(Duration::from_millis(5));
    }
    let left: Vec<_> = manager.list().into_iter().map(|info| (info.name, info.running, info.queued)).collect();
    Err(format!("events are still running or queued: {left:?}").into())
}
