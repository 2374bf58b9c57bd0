//! Trying one case, in a process that it may take along.

use std::sync::Arc;
use std::thread;
use std::time::Instant;

use bytes::Bytes;
use cis_wasm_host::{Host, InMemory, Resource, SecretGrant, SkillScope};
use cis_wasm_runtime::{Compiler, Error, LoadSpec, Outcome, WasmInstance, WasmRuntime};

use crate::backends::{self, CANARY, CANARY_NAME};
use crate::case::{Case, Expected};
use crate::memory_use;
use crate::server::Servers;
use crate::source::Unbuilt;
use crate::verdict::Trial;

/// The most bytes an error's text may have: a host's text, 16 frames, and what is said around them.
const LONGEST_ERROR: usize = 16 << 10;

/// Tries a case on a compiler. What the process dies of is for whoever started it to see.
///
/// # Errors
///
/// When the case itself cannot be set up: its source does not build, or a server cannot be started.
pub fn run(case: &Case, compiler: Compiler) -> Result<Trial, String> {
    let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
    let wasm = match case.source.build(folder.path()) {
        Ok(wasm) => wasm,
        Err(Unbuilt::Untried(why)) => return Ok(Trial { untried: Some(why), ..Trial::default() }),
        Err(Unbuilt::Failed(why)) => return Err(why),
    };
    let servers = backends::servers().map_err(|error| error.to_string())?;
    let spec = spec(case, &servers, folder.path())?;
    let runtime = WasmRuntime::builder().compiler(compiler).workers(2).build().map_err(|error| error.to_string())?;
    let neighbour = Neighbour::load(&runtime)?;
    neighbour.is_served().map_err(|why| format!("before the attack: {why}"))?;

    let before = memory_use::start_measuring();
    let begun = Instant::now();
    let mut trial = Trial { module_kib: wasm.len() as u64 / 1024, ..Trial::default() };
    attack(case, &runtime, &wasm, spec, &servers, &mut trial);
    trial.took_ms = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
    stage("the events after it");
    trial.broken.extend(neighbour.is_served().err());
    if servers.private.connections() > 0 {
        trial.broken.push("the server that nobody may reach was reached".into());
    }
    trial.grown_kib = before.zip(memory_use::peak_kib()).map(|(before, peak)| peak.saturating_sub(before));
    Ok(trial)
}

/// Says on stderr how far it is. When the process hangs or dies, this is the last line.
fn stage(name: &str) {
    eprintln!("stage: {name}");
}

fn spec(case: &Case, servers: &Servers, folder: &std::path::Path) -> Result<LoadSpec, String> {
    let mut scope = SkillScope::new("hostile".parse().expect("a name"));
    scope.budget = case.budget;
    scope.quota = case.quota;
    scope.grants.memory = case.grants.memory;
    scope.grants.ai = case.grants.ai;
    let rule = |authority: &str| format!("http://{authority}").parse().map_err(|error| format!("{error}"));
    let allowed = rule(&servers.allowed.authority())?;
    if case.grants.http {
        scope.grants.http.rules = vec![rule(&servers.allowed.authority())?, rule(&servers.private.authority())?];
    }
    if case.grants.secret {
        let (name, header) = (CANARY_NAME.to_owned(), "x-canary".to_owned());
        scope.grants.secrets = vec![SecretGrant { name, rule: allowed, header, prefix: String::new() }];
    }
    let mut spec = LoadSpec::new(scope, backends::host(case, servers, folder)?);
    spec.limits = case.limits;
    spec.state = case.state;
    Ok(spec)
}

fn attack(case: &Case, runtime: &WasmRuntime, wasm: &[u8], spec: LoadSpec, servers: &Servers, trial: &mut Trial) {
    stage("loading");
    let skill = match runtime.load(wasm, spec) {
        Ok(skill) => skill,
        Err(error) => {
            trial.refused = Some(error.code().to_owned());
            said(&error, trial);
            return;
        }
    };
    let Expected::Events { steps, shutdown } = &case.expected else { return };
    let data = String::from_utf8_lossy(&case.data);
    let data = Bytes::from(servers.fill_in(&data).into_bytes());
    let repeated = steps.len() > 1 && case.data.is_empty();
    for index in 0..steps.len() {
        stage(&format!("event {index}"));
        let data = if repeated { Bytes::from(index.to_string()) } else { data.clone() };
        let outcome = if case.on_worker {
            pollster::block_on(skill.handle(&case.event, data))
        } else {
            skill.run(&case.event, &data)
        };
        look_at(case, &outcome, trial);
        trial.events.push(match &outcome.result {
            Ok(_) => "ok".to_owned(),
            Err(error) => error.code().to_owned(),
        });
    }
    if shutdown.is_some() {
        stage("shutdown");
        let ended = skill.shutdown();
        trial.shutdown = Some(ended.as_ref().map_or_else(|error| error.code(), |()| "ok").to_owned());
        if let Err(error) = &ended {
            said(error, trial);
        }
    }
}

/// What holds for every event of every skill.
fn look_at(case: &Case, outcome: &Outcome, trial: &mut Trial) {
    let receipt = &outcome.receipt;
    for resource in Resource::ALL {
        let (used, limit) = (receipt.ledger.used().of(resource), receipt.ledger.limit().of(resource));
        // What an AI says it took is not the guest's doing, and is known only afterwards.
        if used > limit && resource != Resource::AiTokens {
            trial.broken.push(format!("{used} {} were used of {limit}", resource.name()));
        }
    }
    if receipt.memory_bytes > case.limits.memory_bytes {
        trial.broken.push(format!("memory has {} bytes of {}", receipt.memory_bytes, case.limits.memory_bytes));
    }
    let told = outcome.log.iter().map(|line| line.message.len() as u64).sum::<u64>();
    if told > case.budget.of(Resource::LogBytes) {
        trial.broken.push(format!("{told} bytes were logged"));
    }
    let response = outcome.result.as_ref().map(|bytes| String::from_utf8_lossy(bytes).into_owned());
    if format!("{response:?} {:?}", outcome.log).contains(CANARY) {
        trial.broken.push("the skill was told the secret".into());
    }
    if let Err(error) = &outcome.result {
        said(error, trial);
    }
}

fn said(error: &Error, trial: &mut Trial) {
    let text = error.to_string();
    if text.contains(CANARY) {
        trial.broken.push("an error tells the secret".into());
    }
    if text.len() > LONGEST_ERROR {
        trial.broken.push(format!("an error's text has {} bytes", text.len()));
    }
    if trial.said.is_empty() {
        trial.said = text.chars().take(300).collect();
    }
}

/// Skills that mean no harm, on the same runtime.
struct Neighbour {
    /// Remembers what it is told, and answers with it.
    well: WasmInstance,
    /// Traps in a way that the engine reports from the middle of its own code.
    stumbles: WasmInstance,
}

impl Neighbour {
    fn load(runtime: &WasmRuntime) -> Result<Arc<Self>, String> {
        const WELL: &str = r#"(module
            (import "env" "host_memory_set" (func $set (param i32 i32 i32 i32) (result i32)))
            (import "env" "host_memory_get" (func $get (param i32 i32) (result i64)))
            (memory (export "memory") 1)
            (func (export "skill_on_event") (param i32 i32 i32 i32) (result i64)
              (drop (call $set (local.get 0) (local.get 1) (local.get 2) (local.get 3)))
              (call $get (local.get 0) (local.get 1))))"#;
        const STUMBLES: &str = r#"(module (memory (export "memory") 1)
            (func (export "skill_on_event") (param i32 i32 i32 i32) (result i32)
              (memory.fill (i32.const -1) (i32.const 0) (i32.const 1)) (i32.const 0)))"#;
        let load = |name: &str, text: &str| {
            let wasm = wat::parse_str(text).map_err(|error| error.to_string())?;
            let host = Host::builder().memory(InMemory::new()).build();
            let spec = LoadSpec::new(SkillScope::new(name.parse().expect("a name")), host);
            runtime.load(&wasm, spec).map_err(|error| error.to_string())
        };
        Ok(Arc::new(Neighbour { well: load("well", WELL)?, stumbles: load("stumbles", STUMBLES)? }))
    }

    /// That all is as it should be: on this thread, on a worker, and on a thread that is new.
    fn is_served(self: &Arc<Self>) -> Result<(), String> {
        let answered = |outcome: Outcome, on: &str| match outcome.result {
            Ok(answer) if answer == "hello" => Ok(()),
            Ok(answer) => Err(format!("the neighbour {on} was answered {answer:?}")),
            Err(error) => Err(format!("the neighbour {on} failed: {error}")),
        };
        answered(self.well.run("greet", b"hello"), "on this thread")?;
        answered(pollster::block_on(self.well.handle("greet", Bytes::from("hello"))), "on a worker")?;
        let own = self.clone();
        let elsewhere = thread::spawn(move || own.stumbles.run("fall", b""));
        let outcome = elsewhere.join().map_err(|_| "the thread of a neighbour's trap panicked")?;
        match outcome.result {
            Err(error) if error.code() == "trap_out_of_bounds" => Ok(()),
            Err(error) => Err(format!("the neighbour's trap became {}: {error}", error.code())),
            Ok(_) => Err("the neighbour did not trap".into()),
        }
    }
}
