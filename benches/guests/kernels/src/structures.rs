//! Data structures, with the allocator at work.

use alloc::collections::BTreeMap;
use alloc::vec;
use alloc::vec::Vec;

use serde_json::{Value, json};

use crate::Random;

/// Inserts into and looks up in an ordered map.
pub(crate) fn btree() -> u64 {
    let mut random = Random::new();
    let mut map = BTreeMap::new();
    for n in 0..40_000_u64 {
        map.insert(random.next() % 100_000, n);
    }
    let found: u64 = (0..100_000).filter_map(|key| map.get(&key)).fold(0, |sum, n| sum.wrapping_add(*n));
    found ^ map.len() as u64
}

/// Counts in a hash map with open addressing.
pub(crate) fn hash_map() -> u64 {
    const SLOTS: usize = 1 << 16;
    let mut slots = vec![(0_u64, 0_u32); SLOTS];
    let mut random = Random::new();
    for _ in 0..600_000 {
        let key = random.next() % 40_000 + 1;
        let mut slot = (key.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 48) as usize;
        while slots[slot].0 != key && slots[slot].0 != 0 {
            slot = (slot + 1) % SLOTS;
        }
        slots[slot] = (key, slots[slot].1 + 1);
    }
    slots.iter().fold(0, |sum, (key, count)| sum ^ key.wrapping_mul(u64::from(*count)))
}

/// Writes a document as JSON, reads it back, and walks it.
pub(crate) fn json() -> u64 {
    let mut random = Random::new();
    let mut entry = |n: u64| {
        json!({ "id": n, "name": "a note of some length", "tags": ["one", "two", "three"], "score": random.next() % 100 })
    };
    let document = Value::Array((0..1_000).map(&mut entry).collect());
    let Ok(text) = serde_json::to_vec(&document) else { return 0 };
    let Ok(read) = serde_json::from_slice::<Value>(&text) else { return 0 };
    let scores = read.as_array().into_iter().flatten().filter_map(|entry| entry["score"].as_u64());
    scores.sum::<u64>() + text.len() as u64
}

/// Sorts, and searches what was sorted.
pub(crate) fn sort() -> u64 {
    let mut random = Random::new();
    let mut numbers: Vec<u64> = (0..150_000).map(|_| random.next()).collect();
    numbers.sort_unstable();
    let mut pairs: Vec<(u32, u32)> = numbers.iter().map(|n| (*n as u32, (*n >> 32) as u32)).collect();
    pairs.sort();
    let found = (0..50_000).filter(|_| numbers.binary_search(&random.next()).is_ok()).count() as u64;
    found ^ u64::from(pairs[pairs.len() / 2].0)
}
