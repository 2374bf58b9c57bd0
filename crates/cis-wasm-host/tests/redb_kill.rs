//! `kill -9` at any moment: every acknowledged write is there afterwards, and no value is torn.
//!
//! A child process (this program again) writes from several threads and prints each acknowledgement; it is killed after a
//! random number of them, over and over on one file.
#![cfg(all(feature = "redb", unix))]

mod support;

use std::collections::BTreeMap;
use std::hash::{BuildHasher, RandomState};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;

use bytes::Bytes;
use cis_wasm_host::{MemoryBackend, Namespace, Quota, RedbMemory};
use support::block_on;

const CHILD: &str = "CIS_TEST_KILL_CHILD";
const FIRST: &str = "CIS_TEST_KILL_FIRST";
const ROUNDS: u64 = 40;
const THREADS: u64 = 4;
/// Few, so that values are overwritten: an old one must not come back.
const KEYS: u64 = 7;

fn space() -> Namespace {
    Namespace::of_skill(&"killed".parse().unwrap())
}

fn key(thread: u64, number: u64) -> String {
    format!("{thread}/{}", number % KEYS)
}

/// A value that shows whether it is whole: its number, and bytes that follow from it, more or fewer.
fn value(thread: u64, number: u64) -> Bytes {
    let tail = (0..number * 37 % 5000).map(|n| (n * 31 + number + thread) as u8);
    number.to_le_bytes().into_iter().chain(tail).collect()
}

fn number(thread: u64, value: &Bytes) -> u64 {
    let number = u64::from_le_bytes(*value.first_chunk().expect("a value has at least its number"));
    assert_eq!(*value, self::value(thread, number), "a value is torn");
    number
}

fn write_until_killed(path: &Path, first: u64) {
    let store = RedbMemory::open(path).unwrap();
    thread::scope(|threads| {
        for thread in 0..THREADS {
            let store = &store;
            threads.spawn(move || {
                for number in first.. {
                    let (space, key, value) = (space(), key(thread, number), value(thread, number));
                    block_on(store.set(&space, &key, value, Quota::default())).unwrap();
                    // One write call for a line, so that lines of two threads do not mix.
                    std::io::stdout().write_all(format!("ack {thread} {number}\n").as_bytes()).unwrap();
                }
            });
        }
    });
}

#[test]
fn acknowledged_writes_survive_kill_9() {
    if let Some(path) = std::env::var_os(CHILD) {
        return write_until_killed(path.as_ref(), std::env::var(FIRST).unwrap().parse().unwrap());
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("memory.redb");
    let mut acknowledged: BTreeMap<(u64, String), u64> = BTreeMap::new();
    let mut first = 0;
    for round in 0..ROUNDS {
        let patience = RandomState::new().hash_one(round) % 60;
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "acknowledged_writes_survive_kill_9", "--nocapture"])
            .envs([(CHILD, path.as_os_str()), (FIRST, first.to_string().as_ref())])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (mut lines, mut read) = (BufReader::new(child.stdout.take().unwrap()), 0);
        let mut line = Vec::new();
        loop {
            line.clear();
            // What was printed before the kill counts as well, up to a line that the kill cut off.
            if lines.read_until(b'\n', &mut line).unwrap() == 0 || !line.ends_with(b"\n") {
                break;
            }
            let line = std::str::from_utf8(&line).unwrap();
            if let Some((_, ack)) = line.trim().split_once("ack ") {
                let (thread, number) = ack.split_once(' ').unwrap();
                let (thread, number): (u64, u64) = (thread.parse().unwrap(), number.parse().unwrap());
                acknowledged.insert((thread, key(thread, number)), number);
                first = first.max(number + 1);
                read += 1;
            }
            if read == patience + 1 {
                child.kill().unwrap();
            }
        }
        assert!(!child.wait().unwrap().success(), "the child ends by being killed");
        assert!(read > patience, "the child of round {round} died on its own");

        let store = RedbMemory::open(&path).unwrap();
        for ((thread, key), written) in &acknowledged {
            let value = block_on(store.get(&space(), key)).unwrap();
            let found = number(*thread, &value.unwrap_or_else(|| panic!("round {round}: {key} is gone")));
            assert!(found >= *written, "round {round}: {key} has {found}, {written} was acknowledged");
            // Written and not acknowledged: the next life counts on from there.
            first = first.max(found + 1);
        }
        usage_is_right(&store);
    }
}

/// The usage that quotas are held against is that of the entries.
fn usage_is_right(store: &RedbMemory) {
    let keys = block_on(store.list(&space(), "", usize::MAX)).unwrap();
    let values: Vec<_> = keys.iter().map(|key| block_on(store.get(&space(), key)).unwrap().unwrap()).collect();
    let bytes = keys.iter().map(String::len).chain(values.iter().map(Bytes::len)).sum::<usize>() as u64;
    let again = |quota| block_on(store.set(&space(), &keys[0], values[0].clone(), quota));
    let exactly = Quota { keys: keys.len() as u64, bytes };
    again(exactly).unwrap();
    assert!(again(Quota { bytes: bytes - 1, ..exactly }).is_err());
    assert!(again(Quota { keys: exactly.keys - 1, ..exactly }).is_err());
}
