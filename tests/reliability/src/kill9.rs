//! `kill -9` at any moment: every write that a skill saw acknowledged is there afterwards, and no value is torn.
//!
//! A child process (this program again) lets a skill write through `host_memory_set`, from several threads, and prints
//! each event that was answered. It is killed after some of them, over and over on one file.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::Instant;

use cis_skill::{Event, LoadOptions, MemoryBackend, Namespace, RedbMemory, SkillManager};

use crate::Outcome;
use crate::figures::Spread;
use crate::guests::writer;
use crate::life::{Life, live};

const SKILL: &str = "writer";
const THREADS: u64 = 4;
/// Few, so that values are overwritten: an old one must not come back.
const KEYS: u64 = 7;

fn key(thread: u64, number: u64) -> String {
    format!("{thread}/{}", number % KEYS)
}

/// How long the value of a number is: from nothing but its frame to some pages of a store's.
fn body_len(number: u64) -> u32 {
    (number * 37 % 20_000) as u32
}

/// The event by which the skill writes the value of a number.
fn event(thread: u64, number: u64) -> Event {
    let mut data = key(thread, number).into_bytes();
    data.extend(number.to_le_bytes());
    data.extend(body_len(number).to_le_bytes());
    Event::new("write", data)
}

/// The number of a value, if the value is whole: its checksum is right, and its body is what the number makes.
fn number_of(value: &[u8]) -> Option<u64> {
    let (checked, sum) = value.split_last_chunk::<8>()?;
    let fnv = checked
        .iter()
        .fold(0xcbf2_9ce4_8422_2325_u64, |sum, byte| (sum ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3));
    let (number, body) = checked.split_first_chunk::<8>()?;
    let number = u64::from_le_bytes(*number);
    let mut state = number;
    let expected = (0..body_len(number)).map(|_| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    });
    let whole = u64::from_le_bytes(*sum) == fnv && expected.eq(body.iter().copied());
    whole.then_some(number)
}

/// What the child does.
pub(crate) fn write_until_killed(file: &Path, first: u64) -> Outcome {
    let manager = SkillManager::new(RedbMemory::open(file)?)?;
    manager.load_wasm(SKILL, &writer(), LoadOptions::default())?;
    thread::scope(|threads| {
        for thread in 0..THREADS {
            let manager = &manager;
            threads.spawn(move || {
                for number in first.. {
                    // Half on the thread's own, half on the runtime's workers.
                    let answered = match thread % 2 {
                        0 => manager.send_event_blocking(SKILL, event(thread, number)),
                        _ => pollster::block_on(manager.send_event(SKILL, event(thread, number))),
                    };
                    let line = match answered {
                        Ok(_) => format!("ack {thread} {number}\n"),
                        Err(error) => format!("error {error}\n"),
                    };
                    // One write call for a line, so that lines of two threads do not mix.
                    if std::io::stdout().write_all(line.as_bytes()).is_err() {
                        return;
                    }
                }
            });
        }
    });
    Ok(())
}

/// What is known to be written: the last number of each key.
type Acknowledged = BTreeMap<(u64, String), u64>;

pub(crate) fn run(rounds: u32, seed: u64) -> Outcome {
    let mut dice = fastrand::Rng::with_seed(seed);
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("memory.redb");
    let (mut acknowledged, mut first, mut writes) = (Acknowledged::new(), 0, 0);
    let (mut lost, mut torn, mut checked, mut opening) = (Vec::new(), Vec::new(), 0_u64, Spread::default());
    for round in 0..rounds {
        writes +=
            one_life(&file, first, &mut dice, &mut acknowledged).map_err(|error| format!("round {round}: {error}"))?;
        let begin = Instant::now();
        let store =
            RedbMemory::open(&file).map_err(|error| format!("round {round}: the file does not open: {error}"))?;
        opening.add(begin.elapsed());
        let namespace = Namespace::of_skill(&SKILL.parse()?);
        for ((thread, key), written) in &acknowledged {
            checked += 1;
            let Some(value) = pollster::block_on(store.get(&namespace, key))? else {
                lost.push(format!("round {round}: {key} is gone, {written} of thread {thread} was acknowledged"));
                continue;
            };
            match number_of(&value) {
                None => torn.push(format!("round {round}: {key}, {} bytes", value.len())),
                Some(found) if found < *written => {
                    lost.push(format!("round {round}: {key} has {found}, {written} was acknowledged"));
                }
                // Written and not acknowledged is fine: the next life counts on from there.
                Some(found) => first = first.max(found + 1),
            }
        }
    }
    println!("{rounds} times kill -9, seed {seed}, one file, {THREADS} threads writing, {} keys", acknowledged.len());
    println!("{writes:8} writes acknowledged to skills before their process was killed");
    println!("{checked:8} values looked at afterwards");
    println!("{:8} acknowledged writes lost", lost.len());
    println!("{:8} values torn", torn.len());
    println!("         opening the file after a kill, ms: p50, p99, most {opening}");
    match lost.first().or(torn.first()) {
        None => Ok(()),
        Some(first) => Err(format!("{} lost, {} torn; the first: {first}", lost.len(), torn.len()).into()),
    }
}

/// Starts a child and kills it. Gives how many writes were acknowledged.
fn one_life(
    file: &Path,
    first: u64,
    dice: &mut fastrand::Rng,
    acknowledged: &mut Acknowledged,
) -> Result<u64, Box<dyn std::error::Error>> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["kill9-child", "--first", &first.to_string(), "--file"]).arg(file);
    let Life { lines, killed, ended } = live(&mut command, true, dice, |words| {
        let ["ack", thread, number] = words[..] else { return Ok(false) };
        let (thread, number): (u64, u64) = (thread.parse()?, number.parse()?);
        acknowledged.insert((thread, key(thread, number)), number);
        Ok(true)
    })?;
    if !killed || ended.success() {
        return Err(format!("the child ended on its own after {lines} writes ({ended})").into());
    }
    Ok(lines)
}
