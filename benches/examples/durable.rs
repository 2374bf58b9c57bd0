//! What durability costs: events per second of an agent's step, sent durably and not, on one redb file.
//!
//! A step reads 256 bytes of memory, logs a line, writes 256 bytes and answers with 512. So many are in flight at a time.
//! Both kinds wait for the disk before a write is acknowledged; compare figures of one run with each other only.

use std::error::Error;
use std::sync::Arc;
use std::time::{Duration, Instant};

use cis_skill::{Event, Host, LoadOptions, RedbMemory, SkillManager};
use futures_util::future::join_all;

const IN_FLIGHT: usize = 64;
const EVENTS_EACH: usize = 50;
const ROUNDS: usize = 7;
const SKILL: &str = "agent-step";

/// The event's data is the key.
const STEP: &str = r#"(module
    (import "env" "host_memory_get" (func $get (param i32 i32) (result i64)))
    (import "env" "host_memory_set" (func $set (param i32 i32 i32 i32) (result i32)))
    (import "env" "host_log" (func $log (param i32 i32 i32)))
    (memory (export "memory") 2)
    (data (i32.const 1024) "one step further")
    (func (export "skill_on_event") (param i32 i32 i32 i32) (result i64)
      (drop (call $get (local.get 2) (local.get 3)))
      (call $log (i32.const 1) (i32.const 1024) (i32.const 16))
      (drop (call $set (local.get 2) (local.get 3) (i32.const 1024) (i32.const 256)))
      (i64.or (i64.shl (i64.const 1024) (i64.const 32)) (i64.const 512))))"#;

fn main() -> Result<(), Box<dyn Error>> {
    // Where `TMPDIR` says: on the disk that is to be measured.
    let folder = tempfile::tempdir()?;
    let store = Arc::new(RedbMemory::open(folder.path().join("agent.redb"))?);
    let manager = SkillManager::new(Host::builder().durable(store).build())?;
    manager.load_wasm(SKILL, &wat::parse_str(STEP)?, LoadOptions::default())?;
    // Once for nothing: the file grows, the instances are made.
    round(&manager, false)?;
    round(&manager, true)?;
    let mut ratios = Vec::new();
    for _ in 0..ROUNDS {
        let (plain, durable) = (round(&manager, false)?, round(&manager, true)?);
        ratios.push(plain.as_secs_f64() / durable.as_secs_f64());
        println!("{:8.0} events/s   durable {:8.0} events/s", per_second(plain), per_second(durable));
    }
    ratios.sort_by(f64::total_cmp);
    println!("durable / not durable, {IN_FLIGHT} in flight, median of {ROUNDS}: {:.2}", ratios[ROUNDS / 2]);
    pollster::block_on(manager.shutdown());
    Ok(())
}

fn per_second(time: Duration) -> f64 {
    (IN_FLIGHT * EVENTS_EACH) as f64 / time.as_secs_f64()
}

fn round(manager: &SkillManager, durable: bool) -> Result<Duration, Box<dyn Error>> {
    let begin = Instant::now();
    let lane = |lane: usize| async move {
        for _ in 0..EVENTS_EACH {
            let event = Event::new("step", format!("key-{lane}"));
            match durable {
                true => manager.send_event_durable(SKILL, event).await?.outcome().await?,
                false => manager.send_event(SKILL, event).await?,
            };
        }
        Ok::<(), cis_skill::Error>(())
    };
    for lane in pollster::block_on(join_all((0..IN_FLIGHT).map(lane))) {
        lane?;
    }
    Ok(begin.elapsed())
}
