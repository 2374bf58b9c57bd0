//! `kill -9` under durable events: each that was accepted is handled once, and no reply that was kept is asked for again.
//!
//! A child process (this program again) sends itself durable events and is killed, over and over on one file; each life
//! first resumes what the one before left. An event adds one to a key of its own, asks a server of the parent's, and adds
//! one to a second key. So what was done twice shows in a value, and what was asked twice in the server's counts.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use cis_skill::host::{Answer, HostCall};
use cis_skill::{
    EgressClient, EgressPolicy, Event, Host, JournalStore, LoadOptions, Manifest, MemoryBackend, Namespace, RedbMemory,
    SkillManager,
};

use crate::Outcome;
use crate::guests::module;
use crate::life::{Life, live};

const SKILL: &str = "durable";
/// Events in flight, beside those that were resumed.
const SENDERS: u64 = 16;
/// Numbers of events that one life can use.
const LIFE: u64 = 1_000_000;

/// Counts under `c/NUMBER`, posts to the URL that is the event's type, counts under `d/NUMBER`.
fn guest() -> Vec<u8> {
    module(
        "(func $count (param $key i32) (param $len i32)
           (local $packed i64) (local $value i32) (local $ptr i32)
           (local.set $packed (call $get (local.get $key) (local.get $len)))
           (local.set $ptr (i32.wrap_i64 (i64.shr_u (local.get $packed) (i64.const 32))))
           (if (local.get $ptr) (then (local.set $value (i32.load8_u (local.get $ptr)))))
           (i32.store8 (i32.const 1500) (i32.add (local.get $value) (i32.const 1)))
           (drop (call $set (local.get $key) (local.get $len) (i32.const 1500) (i32.const 1))))",
        "(i32.store8 (local.get $data) (i32.const 99))
         (call $count (local.get $data) (local.get $len))
         (call $log (i32.const 1) (local.get $data) (local.get $len))
         (drop (call $post (local.get $type) (local.get $type_len) (local.get $data) (local.get $len)))
         (i32.store8 (local.get $data) (i32.const 100))
         (call $count (local.get $data) (local.get $len))
         (call $pack (local.get $data) (local.get $len))",
    )
}

/// The number of the call that posts.
const POST: usize = 3;

fn manager(file: &Path, url: &str) -> Result<SkillManager, Box<dyn std::error::Error>> {
    let http = EgressClient::new(EgressPolicy::deny_private().allow_host("127.0.0.1")?)?;
    let host = Host::builder().durable(Arc::new(RedbMemory::open(file)?)).http(http).build();
    // Here it is never an event that ends the process.
    let manager = SkillManager::builder().host(host).durable_recoveries(u32::MAX).build()?;
    let origin = url.trim_end_matches('/');
    let text = format!(
        "name = \"{SKILL}\"\nversion = \"1.0.0\"\n[permissions]\nmemory = \"read-write\"\nhttp.allow = [\"{origin}\"]\n\
         [limits]\ndeadline_ms = 60000\nstored_keys = 10000000\n"
    );
    let manifest: Manifest = text.parse()?;
    manager.load_wasm(SKILL, &guest(), LoadOptions::default().manifest(manifest))?;
    Ok(manager)
}

/// One write call for a line, so that lines of two threads do not mix. False when nobody reads any more.
fn say(line: String) -> bool {
    io::stdout().write_all(line.as_bytes()).is_ok()
}

/// What the child does. With no first number, it only brings to an end what there is.
pub(crate) fn send_until_killed(file: &Path, url: &str, first: Option<u64>) -> Outcome {
    let manager = manager(file, url)?;
    let left_over = pollster::block_on(manager.recover())?;
    say(format!("recovered {}\n", left_over.len()));
    thread::scope(|threads| {
        threads.spawn(|| {
            for event in left_over {
                let ended = event.outcome.map(|handle| pollster::block_on(handle.outcome()));
                if let Err(error) | Ok(Err(error)) = ended {
                    say(format!("error event {}: {error}\n", event.id));
                }
            }
        });
        let Some(first) = first else { return };
        for sender in 0..SENDERS {
            let manager = &manager;
            threads.spawn(move || {
                for number in (first + sender..).step_by(SENDERS as usize) {
                    let event = Event::new(url, format!("c/{number}"));
                    let accepted = match pollster::block_on(manager.send_event_durable(SKILL, event)) {
                        Ok(accepted) => accepted,
                        Err(error) => return say(format!("error {error}\n")),
                    };
                    let id = accepted.id();
                    if !say(format!("accepted {number} {id}\n")) {
                        return false;
                    }
                    if let Err(error) = pollster::block_on(accepted.outcome()) {
                        return say(format!("error {number}: {error}\n"));
                    }
                    if !say(format!("ended {number} {id}\n")) {
                        return false;
                    }
                }
                true
            });
        }
    });
    let _ = pollster::block_on(manager.shutdown());
    Ok(())
}

/// How often the server was asked under each idempotency key.
type Asked = Arc<Mutex<BTreeMap<String, u64>>>;

fn serve(asked: &Asked) -> io::Result<String> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let url = format!("http://{}/", listener.local_addr()?);
    let asked = asked.clone();
    // It ends with the process.
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let asked = asked.clone();
            // A connection that breaks is the child's end.
            thread::spawn(move || drop(answer(stream, &asked)));
        }
    });
    Ok(url)
}

fn answer(mut stream: TcpStream, asked: &Asked) -> io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    loop {
        let (mut length, mut key) = (0, String::from("no key"));
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line)? == 0 {
                return Ok(());
            }
            match line.trim_end().split_once(": ") {
                Some((name, value)) if name.eq_ignore_ascii_case("content-length") => {
                    length = value.parse().unwrap_or(0);
                }
                Some((name, value)) if name.eq_ignore_ascii_case("idempotency-key") => key = value.to_owned(),
                _ if line.trim_end().is_empty() => break,
                _ => {}
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body)?;
        *asked.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).entry(key).or_default() += 1;
        // Long enough for kills to fall into it.
        thread::sleep(Duration::from_millis(2));
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\ndone")?;
    }
}

/// What is known after some lives.
#[derive(Default)]
struct Known {
    /// Numbers and ids of events that the child was told are accepted.
    accepted: BTreeMap<u64, u64>,
    /// Ids of events whose outcome the child was told.
    ended: BTreeSet<u64>,
    recovered: u64,
    /// How often each key had been asked under when its reply was found in the store, or its event at an end.
    kept: BTreeMap<String, u64>,
    problems: Vec<String>,
}

pub(crate) fn run(rounds: u32, seed: u64) -> Outcome {
    let mut dice = fastrand::Rng::with_seed(seed);
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("agent.redb");
    let asked = Asked::default();
    let url = serve(&asked)?;
    let mut known = Known::default();
    for round in 0..rounds {
        one_life(&file, &url, Some(u64::from(round) * LIFE), &mut dice, &mut known)
            .map_err(|error| format!("round {round}: {error}"))?;
        look(&file, &asked, &mut known, round)?;
    }
    one_life(&file, &url, None, &mut dice, &mut known).map_err(|error| format!("the last life: {error}"))?;
    look(&file, &asked, &mut known, rounds)?;

    let store = RedbMemory::open(&file)?;
    let left = pollster::block_on(store.unfinished())?.len() + pollster::block_on(store.dead_letters())?.len();
    let namespace = Namespace::of_skill(&SKILL.parse()?);
    let (mut lost, mut twice) = (Vec::new(), Vec::new());
    let count = |key: &str| -> Result<u8, Box<dyn std::error::Error>> {
        Ok(pollster::block_on(store.get(&namespace, key))?.map_or(0, |value| value[0]))
    };
    for number in known.accepted.keys() {
        let (c, d) = (count(&format!("c/{number}"))?, count(&format!("d/{number}"))?);
        if c == 0 || d == 0 {
            lost.push(*number);
        }
    }
    let keys = pollster::block_on(store.list(&namespace, "", usize::MAX))?;
    for key in &keys {
        if count(key)? != 1 {
            twice.push(key.clone());
        }
    }
    let halves = keys.iter().filter(|key| key.starts_with("c/")).count() * 2 != keys.len();
    let asked = asked.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    let again = asked.values().filter(|times| **times > 1).count();
    println!("{rounds} times kill -9, seed {seed}, one file, {SENDERS} durable events in flight");
    println!("{:8} events whose sender was told that they are accepted", known.accepted.len());
    println!("{:8} events handled in all, {} of them resumed after a kill", keys.len() / 2, known.recovered);
    println!("{:8} replies found kept, and looked at after each later kill", known.kept.len());
    println!("{again:8} requests sent again, because no reply had been kept");
    println!("{:8} accepted events lost", lost.len());
    println!("{:8} effects on memory done twice", twice.len());
    println!("{left:8} events unfinished at the end");
    println!("{:8} replies asked for again after they were kept", known.problems.len());
    let unkeyed = asked.contains_key("no key");
    match (lost.first(), twice.first(), known.problems.first()) {
        (None, None, None) if left == 0 && !halves && !unkeyed => Ok(()),
        first => {
            Err(format!("the first of each: {first:?}; {left} left, half done: {halves}, no key: {unkeyed}").into())
        }
    }
}

/// Notes what replies the store has, and whether any it had before was asked for since.
fn look(file: &Path, asked: &Asked, known: &mut Known, round: u32) -> Outcome {
    let store = RedbMemory::open(file).map_err(|error| format!("round {round}: the file does not open: {error}"))?;
    let asked = asked.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).clone();
    let unfinished = pollster::block_on(store.unfinished())?;
    let key = |id: u64| format!("{}-{id}-{POST}", store.name());
    let replied = unfinished.iter().filter(|event| {
        event.journal.get(POST).is_some_and(|entry| {
            matches!((&entry.call, &entry.answer), (HostCall::HttpPost { .. }, Answer::Replied(_)))
        })
    });
    let kept: Vec<String> =
        replied.map(|event| key(event.id.number())).chain(known.ended.iter().map(|id| key(*id))).collect();
    for key in kept {
        let times = asked.get(&key).copied().unwrap_or(0);
        let before = *known.kept.entry(key.clone()).or_insert(times);
        if times != before || times == 0 {
            known.problems.push(format!("round {round}: {key} was asked for {times} times, {before} when it was kept"));
        }
    }
    Ok(())
}

/// Starts a child, and kills it unless it has no events of its own to send.
fn one_life(file: &Path, url: &str, first: Option<u64>, dice: &mut fastrand::Rng, known: &mut Known) -> Outcome {
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["durable-child", "--url", url, "--file"]).arg(file);
    if let Some(first) = first {
        command.args(["--first", &first.to_string()]);
    }
    let Life { lines, killed, ended } = live(&mut command, first.is_some(), dice, |words| {
        match *words {
            ["recovered", events] => known.recovered += events.parse::<u64>()?,
            ["accepted", number, id] => drop(known.accepted.insert(number.parse()?, id.parse()?)),
            ["ended", _, id] => drop(known.ended.insert(id.parse()?)),
            _ => return Ok(false),
        }
        Ok(true)
    })?;
    match first.is_some() == killed && ended.success() != killed {
        true => Ok(()),
        false => Err(format!("the child ended after {lines} lines ({ended})").into()),
    }
}
