//! The workloads as a skill: an event's type names one.
#![cfg_attr(target_arch = "wasm32", no_std)]

extern crate alloc;

use alloc::vec::Vec;

use cis_skill_sdk::prelude::*;
use compare_logic::World;

/// The skill.
#[derive(Default)]
struct Compare;

impl Skill for Compare {
    fn handle(&mut self, event: Event<'_>) -> Result<Response, Error> {
        let bytes = match event.kind() {
            "echo" => return Ok(Response::bytes(event.data())),
            "agent_step" => {
                compare_logic::agent_step(&mut Host, event.data()).map_err(|_| Error::invalid("no step"))?
            }
            "agent_step_alone" => {
                compare_logic::agent_step_alone(event.data()).map_err(|_| Error::invalid("no step"))?
            }
            "write_pages" => compare_logic::write_pages(),
            "host_1000" => compare_logic::host_1000(&mut Host),
            "compute" => compare_logic::compute(),
            "ask" => Ai::chat("what now?")?.into_bytes(),
            _ => return Err(event.unknown()),
        };
        Ok(Response::bytes(bytes))
    }
}

cis_skill_sdk::skill!(Compare);

struct Host;

impl World for Host {
    fn get(&mut self, key: &str) -> Option<Vec<u8>> {
        Memory::get(key).ok().flatten()
    }

    fn set(&mut self, key: &str, value: &[u8]) {
        if Memory::set(key, value).is_err() {
            Log::error("a value was not stored");
        }
    }

    fn log(&mut self, line: &str) {
        Log::info(line);
    }
}
