//! Counts its events. The smallest kind of skill: no JSON, and its state is its own value.
//!
//! | event | answer |
//! |---|---|
//! | `count` | how many times it was asked, this one included |
//! | `total` | how many times any counter of this host was asked, from memory |
#![no_std]

use cis_skill_sdk::prelude::*;

/// The key that outlives the instance.
const TOTAL: &str = "total";

/// The skill: its value is kept from event to event (`state = "kept"`).
#[derive(Default)]
pub struct Counter {
    count: u32,
}

impl Skill for Counter {
    fn handle(&mut self, event: Event<'_>) -> Result<Response, Error> {
        match event.kind() {
            "count" => {
                self.count += 1;
                Memory::set(TOTAL, (total()? + 1).to_le_bytes())?;
                Ok(Response::text(self.count))
            }
            "total" => Ok(Response::text(total()?)),
            _ => Err(event.unknown()),
        }
    }

    fn shutdown(&mut self) {
        Log::info("the counter goes");
    }
}

fn total() -> Result<u32, Error> {
    let Some(bytes) = Memory::get(TOTAL)? else { return Ok(0) };
    bytes.try_into().map(u32::from_le_bytes).map_err(|_| Error::failed("the total in memory is not four bytes"))
}

skill!(Counter);
