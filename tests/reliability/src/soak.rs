//! Very many events, fresh and kept, with traps, limits and reloads among them: memory, threads and files must not grow.

use std::time::{Duration, Instant};

use cis_skill::wasm::{Compiler, WasmRuntime};
use cis_skill::{Error, Event, Host, InMemory, LoadOptions, Manifest, SkillManager};

use crate::Outcome;
use crate::census::Census;
use crate::guests::{BUMP, jack};

/// How many samples are taken.
const SAMPLES: usize = 50;

/// The part of them that is warming up: the first tenth.
const WARM: usize = SAMPLES / 10;

/// By how much memory may seem to grow between the halves of what comes after: an allocator is no accountant.
const SLACK_KIB: u64 = 4 << 10;

/// The same for what is allocated, which is counted to the byte.
const HEAP_SLACK_KIB: u64 = 64;

fn options(name: &str) -> LoadOptions {
    let state = name.split('-').next().unwrap_or("fresh");
    let text = format!("name = \"{name}\"\nversion = \"1.0.0\"\nstate = \"{state}\"\n[limits]\nfuel = 300000\n");
    let manifest: Manifest = text.parse().expect("a manifest of ours");
    LoadOptions::default().manifest(manifest)
}

/// What may stay allocated when all skills are gone: what a library keeps for the next time.
const LEFT_KIB: u64 = 512;

/// What event number `number` is, and what it ends with.
fn event(number: usize) -> (Event, &'static str) {
    let (event_type, data, end) = match number % 100 {
        17 => ("T", "x".to_owned(), "trap_unreachable"),
        34 => ("O", "x".to_owned(), "trap_out_of_bounds"),
        51 => ("F", "x".to_owned(), "out_of_fuel"),
        68 => ("P", "x".to_owned(), "bad_pointer"),
        85 => ("E", "x".to_owned(), "skill_failed"),
        n if n % 4 == 1 => ("s", format!("key {}", number % 97), "ok"),
        n if n % 4 == 2 => ("g", format!("key {}", number % 97), "ok"),
        _ => ("x", "x".repeat(number % 3_000), "ok"),
    };
    (Event::new(event_type, data), end)
}

pub(crate) fn run(events: usize, reload_every: usize) -> Outcome {
    // The compiler has a pool of threads that lasts as long as the process.
    WasmRuntime::new()?.load_skill(&jack(""))?;
    let empty = Census::quiet()?;
    println!("start             {empty}");
    let mut managers = Vec::new();
    let (bump, arena) = (jack(BUMP), jack(""));
    for compiler in Compiler::ALL {
        let manager = SkillManager::builder()
            .host(Host::builder().memory(InMemory::new()).build())
            .runtime(WasmRuntime::builder().compiler(*compiler).build()?)
            .build()?;
        manager.load_wasm("fresh-alloc", &bump, options("fresh-alloc"))?;
        manager.load_wasm("fresh-arena", &arena, options("fresh-arena"))?;
        manager.load_wasm("kept-arena", &arena, options("kept-arena"))?;
        managers.push(manager);
    }
    let skills = [("fresh-alloc", &bump), ("fresh-arena", &arena), ("kept-arena", &arena)];
    let begin = Instant::now();
    let (mut samples, mut ok, mut failed, mut reloads) = (Vec::new(), 0_usize, 0_usize, 0_usize);
    for number in 0..events {
        let manager = &managers[number % managers.len()];
        let (name, wasm) = skills[number / managers.len() % skills.len()];
        let (event, end) = event(number / (managers.len() * skills.len()));
        // Most run on this thread, as the cheaper way; a tenth goes to the workers.
        let result = match number % 10 {
            3 => pollster::block_on(manager.send_event(name, event)),
            _ => manager.send_event_blocking(name, event),
        };
        let came = result.as_ref().map_or_else(Error::code, |_| "ok");
        if came != end {
            return Err(format!("event {number} to {name} ended with {came} instead of {end}: {result:?}").into());
        }
        *(if result.is_ok() { &mut ok } else { &mut failed }) += 1;
        if (number + 1).is_multiple_of(reload_every) {
            manager.reload(name, wasm, options(name))?;
            reloads += 1;
        }
        if (number + 1) * SAMPLES / events != number * SAMPLES / events {
            samples.push((number + 1, Census::take()?));
        }
    }
    let took = begin.elapsed();
    for (number, census) in samples.iter().enumerate().filter(|(number, _)| number % 5 == 4).map(|(_, sample)| sample) {
        println!("{number:>9} events  {census}");
    }
    println!(
        "\n{events} events in {:.1} s, {:.1} us each: {ok} ok, {failed} failed as they should; {reloads} reloads",
        took.as_secs_f64(),
        per_event(took, events)
    );
    flat(&samples.iter().map(|(_, census)| *census).collect::<Vec<_>>())?;
    drop(managers);
    let left = Census::settled(&empty)?;
    println!("all dropped       {left}");
    left.within(&empty, "at the end")?;
    left.allocates(&empty, LEFT_KIB, "at the end")?;
    Ok(())
}

fn per_event(took: Duration, events: usize) -> f64 {
    took.as_secs_f64() * 1e6 / events.max(1) as f64
}

/// Holds the samples after warm-up against each other: the second half against the first.
fn flat(samples: &[Census]) -> Outcome {
    let warm = samples.get(WARM..).filter(|warm| warm.len() >= 4).ok_or("too few events for a curve")?;
    let (first, second) = warm.split_at(warm.len() / 2);
    let middle = |half: &[Census], of: fn(&Census) -> u64| {
        let mut all: Vec<u64> = half.iter().map(of).collect();
        all.sort_unstable();
        all[all.len() / 2]
    };
    for (what, of, slack) in [
        ("resident", (|census| census.rss_kib) as fn(&Census) -> u64, SLACK_KIB),
        ("allocated", |census| census.heap_kib, HEAP_SLACK_KIB),
    ] {
        let (before, after) = (middle(first, of), middle(second, of));
        println!(
            "after warm-up: median {what} memory {:.2} MiB in the first half, {:.2} MiB in the second",
            before as f64 / 1024.0,
            after as f64 / 1024.0
        );
        if after > before + before / 50 + slack {
            return Err(format!("{what} memory grows").into());
        }
    }
    // Workers that stand in for others come and go, so threads are held against each other in the middle too; and one more or
    // less is no leak.
    for (what, of, slack) in [
        ("threads", (|census| census.threads as u64) as fn(&Census) -> u64, 1),
        ("files", |census| census.files as u64, 0),
    ] {
        let (before, after) = (middle(first, of), middle(second, of));
        if after > before + slack {
            return Err(format!("{what} grow: {before} in the first half, {after} in the second").into());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn curve(rss: impl Fn(u64) -> u64, heap: impl Fn(u64) -> u64, threads: impl Fn(u64) -> usize) -> Outcome {
        let census = |n| Census { threads: threads(n), files: 9, rss_kib: rss(n), heap_kib: heap(n) };
        flat(&(0..SAMPLES as u64).map(census).collect::<Vec<_>>())
    }

    #[test]
    fn a_leak_is_found_and_noise_is_not() {
        let flat = |_| 5_000;
        assert!(curve(|n| if n < 3 { 10_000 } else { 50_000 + n % 3 * 500 }, flat, |_| 5).is_ok());
        assert!(curve(|n| 50_000 + n * 400, flat, |_| 5).is_err());
        assert!(curve(|_| 50_000, |n| 5_000 + n % 3 * 20, |_| 5).is_ok());
        assert!(curve(|_| 50_000, |n| 5_000 + n * 10, |_| 5).is_err());
        assert!(curve(|_| 50_000, flat, |n| if n == 49 { 9 } else { 5 }).is_ok());
        assert!(curve(|_| 50_000, flat, |n| 5 + (n as usize + 20) / 40).is_ok());
        assert!(curve(|_| 50_000, flat, |n| 5 + n as usize / 10).is_err());
    }
}
