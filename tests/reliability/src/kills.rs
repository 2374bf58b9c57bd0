//! Everything that only a deadline ends, ended by its deadline, while hostile skills keep all processors busy.
//!
//! What is measured is the overshoot: how long after the deadline it was over. The runtime's own figure is the event's
//! receipt. The caller's is a clock around the call, for events that run on the caller's thread, for loads and unloads;
//! it has everything in it: making the instance, dropping it, compiling.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use cis_skill::wasm::{Compiler, Limits, WasmRuntime};
use cis_skill::{
    AiBackend, AiReply, AiRequest, BackendError, Bytes, EgressClient, EgressPolicy, Error, Event, FailurePolicy, Host,
    LoadOptions, Manifest, MemoryBackend, Namespace, Quota, SkillManager, async_trait,
};
use futures_util::stream::{FuturesUnordered, StreamExt};

use crate::Outcome;
use crate::census::{Busy, Census};
use crate::figures::Spread;
use crate::guests::{BUMP, module};
use crate::server::Server;

/// The overshoot that 99 of 100 are to keep to.
const PROMISE: Duration = Duration::from_millis(50);

/// What is done to a skill that does not end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// It is sent an event.
    Event,
    /// It is sent an event for which it needs a new instance, and the new instance does not start.
    Restart,
    /// It is loaded.
    Load,
    /// It is unloaded.
    Unload,
}

/// A way not to end.
#[derive(Clone, Copy, Debug)]
struct Class {
    name: &'static str,
    kind: Kind,
    fields: &'static str,
    body: &'static str,
}

const LOOP: &str = "(loop $forever (br $forever)) unreachable";
const ANSWER: &str = "(i64.const 0)";

const fn event(name: &'static str, fields: &'static str, body: &'static str) -> Class {
    Class { name, kind: Kind::Event, fields, body }
}

const fn at(kind: Kind, name: &'static str, fields: &'static str, body: &'static str) -> Class {
    Class { name, kind, fields, body }
}

const CLASSES: [Class; 23] = [
    event("endless loop", "", LOOP),
    event(
        "endless calls",
        "(func $fib (param i64) (result i64)
           (if (result i64) (i64.lt_u (local.get 0) (i64.const 2)) (then (local.get 0))
             (else (i64.add (call $fib (i64.sub (local.get 0) (i64.const 1)))
                            (call $fib (i64.sub (local.get 0) (i64.const 2)))))))",
        "(call $fib (i64.const 90))",
    ),
    event(
        "loop of host calls",
        r#"(data (i32.const 1024) "name")"#,
        "(loop $more (drop (call $config (i32.const 1024) (i32.const 4))) (br $more)) unreachable",
    ),
    event(
        "loop of memory writes",
        r#"(data (i32.const 1024) "key")"#,
        "(loop $more (drop (call $set (i32.const 1024) (i32.const 3) (i32.const 0) (i32.const 60000))) (br $more))
         unreachable",
    ),
    event(
        "memory.fill of 32 MiB",
        "",
        "(drop (memory.grow (i32.const 512)))
         (loop $more (memory.fill (i32.const 65536) (i32.const 7) (i32.const 33554432)) (br $more)) unreachable",
    ),
    event(
        "memory.copy of 32 MiB",
        "",
        "(drop (memory.grow (i32.const 520)))
         (loop $more (memory.copy (i32.const 65536) (i32.const 65600) (i32.const 33554432)) (br $more)) unreachable",
    ),
    event(
        "table.fill of 100,000",
        "(table $t 100000 funcref)",
        "(loop $more (table.fill $t (i32.const 0) (ref.null func) (i32.const 100000)) (br $more)) unreachable",
    ),
    event(
        "loop in the allocator",
        "(func (export \"cis_alloc\") (param i32) (result i32) (loop $forever (br $forever)) unreachable)",
        ANSWER,
    ),
    event(
        "loop in the allocator, for a reply",
        r#"(data (i32.const 1024) "name")
           (global $calls (mut i32) (i32.const 0))
           (func (export "cis_alloc") (param i32) (result i32)
             (global.set $calls (i32.add (global.get $calls) (i32.const 1)))
             (if (i32.gt_u (global.get $calls) (i32.const 2)) (then (loop $forever (br $forever))))
             (i32.mul (global.get $calls) (i32.const 4096)))"#,
        "(call $list (i32.const 1024) (i32.const 4))",
    ),
    event(
        "loop in the allocator's free",
        "(global $next (mut i32) (i32.const 4096))
         (func (export \"cis_alloc\") (param i32) (result i32)
           (global.set $next (i32.add (global.get $next) (i32.const 4096))) (global.get $next))
         (func (export \"cis_free\") (param i32 i32) (loop $forever (br $forever)))",
        ANSWER,
    ),
    event("stalled HTTP", BUMP, "(call $post (local.get $data) (local.get $len) (i32.const 0) (i32.const 0))"),
    event("dripping HTTP", BUMP, "(call $post (local.get $data) (local.get $len) (i32.const 0) (i32.const 0))"),
    event("hung AI", BUMP, "(call $chat (local.get $data) (local.get $len))"),
    event("hung memory", r#"(data (i32.const 1024) "hang")"#, "(call $get (i32.const 1024) (i32.const 4))"),
    at(
        Kind::Restart,
        "loop in start, new instance",
        r#"(data (i32.const 1024) "mode")
           (func $begin (if (i64.ne (call $get (i32.const 1024) (i32.const 4)) (i64.const 0))
             (then (loop $forever (br $forever)))))
           (start $begin)"#,
        "unreachable",
    ),
    at(
        Kind::Restart,
        "loop in init, new instance",
        r#"(data (i32.const 1024) "mode")
           (func (export "skill_init") (result i32)
             (if (i64.ne (call $get (i32.const 1024) (i32.const 4)) (i64.const 0))
               (then (loop $forever (br $forever))))
             (i32.const 0))"#,
        "unreachable",
    ),
    at(
        Kind::Restart,
        "hung memory in init, new instance",
        r#"(data (i32.const 1024) "modehang")
           (func (export "skill_init") (result i32)
             (if (i64.ne (call $get (i32.const 1024) (i32.const 4)) (i64.const 0))
               (then (drop (call $get (i32.const 1028) (i32.const 4)))))
             (i32.const 0))"#,
        "unreachable",
    ),
    at(Kind::Load, "load: loop in start", "(func $begin (loop $forever (br $forever))) (start $begin)", ANSWER),
    at(
        Kind::Load,
        "load: loop in skill_init",
        "(func (export \"skill_init\") (result i32) (loop $forever (br $forever)) unreachable)",
        ANSWER,
    ),
    at(
        Kind::Load,
        "load: loop in cis_abi_version",
        "(func (export \"cis_abi_version\") (result i32) (loop $forever (br $forever)) unreachable)",
        ANSWER,
    ),
    at(
        Kind::Load,
        "load: hung memory in skill_init",
        r#"(data (i32.const 1024) "hang")
           (func (export "skill_init") (result i32)
             (drop (call $get (i32.const 1024) (i32.const 4))) (i32.const 0))"#,
        ANSWER,
    ),
    at(
        Kind::Unload,
        "unload: loop in skill_shutdown",
        "(func (export \"skill_shutdown\") (loop $forever (br $forever)))",
        ANSWER,
    ),
    at(
        Kind::Unload,
        "unload: hung memory in skill_shutdown",
        r#"(data (i32.const 1024) "hang")
           (func (export "skill_shutdown") (drop (call $get (i32.const 1024) (i32.const 4))))"#,
        ANSWER,
    ),
];

/// A memory of which one key never answers, and another is there from when it is said to be.
#[derive(Clone, Default)]
struct Memory {
    mode: Arc<AtomicBool>,
}

#[async_trait]
impl MemoryBackend for Memory {
    async fn get(&self, _: &Namespace, key: &str) -> Result<Option<Bytes>, BackendError> {
        match key {
            "hang" => std::future::pending().await,
            "mode" if self.mode.load(Ordering::SeqCst) => Ok(Some(Bytes::from_static(b"on"))),
            _ => Ok(None),
        }
    }

    async fn set(&self, _: &Namespace, _: &str, _: Bytes, _: Quota) -> Result<(), BackendError> {
        Ok(())
    }

    async fn delete(&self, _: &Namespace, _: &str) -> Result<bool, BackendError> {
        Ok(false)
    }

    async fn list(&self, _: &Namespace, _: &str, _: usize) -> Result<Vec<String>, BackendError> {
        Ok(Vec::new())
    }
}

struct HungAi;

#[async_trait]
impl AiBackend for HungAi {
    async fn chat(&self, _: AiRequest) -> Result<AiReply, BackendError> {
        std::future::pending().await
    }
}

/// The overshoots of a class.
#[derive(Clone, Default)]
struct Kills {
    runtimes: Spread,
    callers: Spread,
    count: usize,
}

/// What kills are made on: one compiler, one runtime, every class loaded.
struct Ground {
    compiler: Compiler,
    runtime: WasmRuntime,
    manager: SkillManager,
    memory: Memory,
    origin: String,
    deadline: Duration,
}

impl Ground {
    fn new(compiler: Compiler, origin: &str, deadline: Duration) -> Result<Ground, Box<dyn std::error::Error>> {
        let memory = Memory::default();
        let http = EgressClient::new(EgressPolicy::deny_private().allow_host("127.0.0.1")?)?;
        let runtime = WasmRuntime::builder().compiler(compiler).build()?;
        let manager =
            manager(&runtime, Host::builder().memory(memory.clone()).ai(HungAi).http(http).build(), deadline)?;
        let ground = Ground { compiler, runtime, manager, memory, origin: origin.to_owned(), deadline };
        for (index, class) in CLASSES.iter().enumerate() {
            let kept = class.kind == Kind::Restart || class.name.contains("free");
            if matches!(class.kind, Kind::Event | Kind::Restart) {
                ground.manager.load_wasm(&name(index), &class.module(), ground.options(index, kept))?;
            }
            if class.kind == Kind::Restart {
                // Its instance is gone from here on.
                let ended = ground.manager.send_event_blocking(&name(index), Event::new("trap", ""));
                expect(ended, "trap_unreachable", class)?;
            }
        }
        ground.memory.mode.store(true, Ordering::SeqCst);
        Ok(ground)
    }

    fn options(&self, index: usize, kept: bool) -> LoadOptions {
        const MOST: u64 = 1 << 60;
        let (name, state, origin) = (name(index), if kept { "kept" } else { "fresh" }, &self.origin);
        let text = format!(
            "name = \"{name}\"\nversion = \"1.0.0\"\nstate = \"{state}\"\n\
             [permissions]\nai = true\nhttp.allow = [\"{origin}\"]\n\
             [limits]\nfuel = {MOST}\nhost_calls = {MOST}\nbytes_in = {MOST}\nbytes_out = {MOST}\n\
             memory_writes = {MOST}\nmemory_write_bytes = {MOST}\nhttp_bytes = {MOST}\n"
        );
        let manifest: Manifest = text.parse().expect("a manifest of ours");
        LoadOptions::default().manifest(manifest)
    }

    /// Kills one of a class, on the caller's thread or on a worker.
    fn kill(&self, index: usize, on_worker: bool, kills: &mut Kills) -> Outcome {
        let class = &CLASSES[index];
        let over = |took: Duration| took.saturating_sub(self.deadline);
        kills.count += 1;
        match class.kind {
            Kind::Event | Kind::Restart => {
                let path = if class.name.starts_with("stalled") { "stall" } else { "drip" };
                let event = Event::new("kill", format!("{}/{path}", self.origin));
                let begin = Instant::now();
                let ended = match on_worker {
                    true => pollster::block_on(self.manager.send_event(&name(index), event)),
                    false => self.manager.send_event_blocking(&name(index), event),
                };
                let took = begin.elapsed();
                let error = expect(ended, "deadline_exceeded", class)?;
                let receipt = error.receipt().ok_or("an event without a receipt")?;
                kills.runtimes.add(over(receipt.wall));
                if !on_worker {
                    kills.callers.add(over(took));
                }
            }
            Kind::Load => {
                let (wasm, options) = (class.module(), self.options(index, false));
                let begin = Instant::now();
                let ended = self.manager.load_wasm(&name(index), &wasm, options);
                kills.callers.add(over(begin.elapsed()));
                expect(ended, "deadline_exceeded", class)?;
            }
            Kind::Unload => {
                self.manager.load_wasm(&name(index), &class.module(), self.options(index, true))?;
                let begin = Instant::now();
                let ended = pollster::block_on(self.manager.unload(&name(index)));
                kills.callers.add(over(begin.elapsed()));
                expect(ended, "deadline_exceeded", class)?;
            }
        }
        Ok(())
    }
}

impl Class {
    fn module(&self) -> Vec<u8> {
        module(self.fields, self.body)
    }
}

fn name(index: usize) -> String {
    format!("class-{index}")
}

fn manager(runtime: &WasmRuntime, host: Host, deadline: Duration) -> cis_skill::Result<SkillManager> {
    SkillManager::builder()
        .runtime(runtime.clone())
        .host(host)
        .limits(Limits { deadline, fuel: u64::MAX, ..Limits::default() })
        .failure_policy(FailurePolicy { in_a_row: 0, ..FailurePolicy::default() })
        .build()
}

fn expect<T: std::fmt::Debug>(ended: Result<T, Error>, code: &str, class: &Class) -> Result<Error, String> {
    match ended {
        Err(error) if error.code() == code => Ok(error),
        other => Err(format!("{}: {other:?} instead of {code}", class.name)),
    }
}

/// Keeps a runtime's workers busy with two skills that never stop, each with more events than there are processors.
fn keep_busy(runtime: &WasmRuntime, over: &AtomicBool) -> cis_skill::Result<()> {
    let manager = manager(runtime, Host::default(), Duration::from_millis(500))?;
    for name in ["busy-1", "busy-2"] {
        manager.load_wasm(name, &module("", LOOP), LoadOptions::default())?;
    }
    let events = 2 * thread::available_parallelism().map_or(1, usize::from);
    pollster::block_on(async {
        let send = |number: usize| {
            let sent = manager.send_event(["busy-1", "busy-2"][number % 2], Event::tick(0));
            async move { (number, sent.await.is_err()) }
        };
        let mut spinning: FuturesUnordered<_> = (0..2 * events).map(send).collect();
        while let Some((number, stopped)) = spinning.next().await {
            assert!(stopped, "what never stops does not answer");
            if !over.load(Ordering::SeqCst) {
                spinning.push(send(number));
            }
        }
    });
    Ok(())
}

pub(crate) fn run(kills: usize, deadline: Duration) -> Outcome {
    let server = Server::start()?;
    let grounds = Compiler::ALL
        .iter()
        .map(|compiler| Ground::new(*compiler, &server.origin(), deadline))
        .collect::<Result<Vec<_>, _>>()?;
    // One of each, so that whatever starts with its first use has started.
    let mut table = vec![Kills::default(); CLASSES.len()];
    for (ground, index) in grounds.iter().flat_map(|ground| (0..CLASSES.len()).map(move |index| (ground, index))) {
        ground.kill(index, index % 2 == 0, &mut table[index])?;
    }
    table = vec![Kills::default(); CLASSES.len()];
    let workers = thread::available_parallelism().map_or(1, usize::from);
    let before = Census::quiet()?;
    let busy = Busy::now()?;
    let mut by_compiler = vec![Spread::default(); grounds.len()];
    for (ground, overshoots) in grounds.iter().zip(&mut by_compiler) {
        let over = AtomicBool::new(false);
        thread::scope(|scope| -> Outcome {
            let busy = scope.spawn(|| keep_busy(&ground.runtime, &over));
            let share = kills.div_ceil(grounds.len());
            let killed = (0..share).try_for_each(|number| {
                let index = number % CLASSES.len();
                let mut one = Kills::default();
                ground.kill(index, number / CLASSES.len() % 2 == 1, &mut one)?;
                overshoots.append(if one.runtimes.count() == 0 { &one.callers } else { &one.runtimes });
                table[index].count += 1;
                table[index].runtimes.append(&one.runtimes);
                table[index].callers.append(&one.callers);
                Ok(())
            });
            over.store(true, Ordering::SeqCst);
            busy.join().map_err(|_| "the busy skills' thread panicked")??;
            killed
        })?;
    }
    let busy = busy.line()?;
    // Of the workers, some may not have been started before.
    let allowed = Census { threads: before.threads + workers * grounds.len(), ..before };
    let after = Census::settled(&allowed)?;

    println!("Overshoot beyond a deadline of {deadline:?}, in ms, all processors busy.\n");
    println!("{:40} {:>6}   {:^29}   {:^29}", "", "", "the runtime's receipt", "the caller's clock");
    println!(
        "{:40} {:>6}   {:>9} {:>9} {:>9}   {:>9} {:>9} {:>9}",
        "", "kills", "p50", "p99", "most", "p50", "p99", "most"
    );
    let (mut all, mut count) = (Spread::default(), 0);
    let mut callers = Spread::default();
    for (class, kills) in CLASSES.iter().zip(&table) {
        println!("{:40} {:>6}   {}   {}", class.name, kills.count, kills.runtimes, kills.callers);
        callers.append(&kills.callers);
        count += kills.count;
    }
    for (ground, overshoots) in grounds.iter().zip(&by_compiler) {
        println!("{:40} {:>6}   {overshoots}", format!("all, {}", ground.compiler.name()), overshoots.count());
        all.append(overshoots);
    }
    println!("{:40} {:>6}   {all}   {callers}\n", "all", count);
    println!("{busy}\n\nbefore  {before}\nafter   {after}");
    let holds = all.percentile(99.0) <= PROMISE;
    println!("99 of 100 are over within {PROMISE:?} of their deadline: {}", if holds { "yes" } else { "NO" });
    after.within(&allowed, "after the kills")?;
    Ok(())
}
