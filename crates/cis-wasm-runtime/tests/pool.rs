//! How many instances wait for events. A process of its own, because it counts this process's mappings.
#![cfg(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64")))]

mod common;

use std::sync::Mutex;

use cis_wasm_host::{Host, SkillScope};
use cis_wasm_runtime::{Limits, LoadSpec, RuntimeBuilder, WasmInstance, WasmRuntime};
use common::{guest, on_event};

/// One test at a time, because they count what the process has.
static ALONE: Mutex<()> = Mutex::new(());

/// How many memories of guests this process has: each begins a stretch of 8 GiB.
fn memories() -> usize {
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    let ranges = maps.lines().filter_map(|line| {
        let (begin, end) = line.split_once(' ')?.0.split_once('-')?;
        let address = |text| u64::from_str_radix(text, 16).ok();
        Some(address(end)? - address(begin)?)
    });
    ranges.filter(|len| *len > 7 << 30).count()
}

fn load(runtime: &WasmRuntime, count: usize) -> Vec<WasmInstance> {
    let wasm = guest(&on_event("(memory.fill (i32.const 0) (i32.const 1) (i32.const 65536)) (i32.const 0)")).wasm;
    let name = |skill: usize| format!("skill-{skill}").parse().unwrap();
    let host = Host::builder().build();
    let spec = |skill| {
        let mut spec = LoadSpec::new(SkillScope::new(name(skill)), host.clone());
        spec.limits = Limits { memory_bytes: 1 << 20, ..Limits::default() };
        spec
    };
    (0..count).map(|skill| runtime.load(&wasm, spec(skill)).unwrap()).collect()
}

#[track_caller]
fn holds(builder: RuntimeBuilder, most: usize) {
    let _alone = ALONE.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    let before = memories();
    let runtime = builder.build().unwrap();
    let skills = load(&runtime, 40);
    for _ in 0..3 {
        for skill in &skills {
            assert!(skill.run("", b"data").result.is_ok());
        }
        let now = memories() - before;
        assert!(now <= most, "{now} instances wait, more than {most}");
    }
    // The last one used is not the first one to go.
    assert!(most == 0 || memories() > before);
    runtime.release_idle();
    assert_eq!(memories(), before);
    assert!(skills[0].run("", b"data").result.is_ok());
    drop(skills);
    assert_eq!(memories(), before);
}

#[test]
fn instances_that_wait_are_so_many_at_the_most() {
    holds(WasmRuntime::builder().max_idle(8), 8);
}

#[test]
fn no_instance_waits_when_none_may() {
    holds(WasmRuntime::builder().max_idle(0), 0);
}

#[test]
fn instances_that_wait_have_so_many_bytes_at_the_most() {
    // Each writes to 16 pages of 4 KiB and to one for the event.
    holds(WasmRuntime::builder().max_idle_bytes(10 * 17 * 4096), 11);
}

#[test]
fn without_reuse_none_waits() {
    holds(WasmRuntime::builder().reuse(false), 0);
}

#[test]
fn a_skill_has_a_few_that_wait() {
    let _alone = ALONE.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    let before = memories();
    let runtime = WasmRuntime::builder().workers(1).build().unwrap();
    let skills = load(&runtime, 1);
    let gate = std::sync::Barrier::new(20);
    std::thread::scope(|scope| {
        for _ in 0..20 {
            scope.spawn(|| {
                gate.wait();
                for _ in 0..50 {
                    assert!(skills[0].run("", b"data").result.is_ok());
                }
            });
        }
    });
    let now = memories() - before;
    assert!((1..=5).contains(&now), "{now} instances wait");
}
