//! As little as a skill can be.
#![cfg_attr(target_arch = "wasm32", no_std)]

use cis_skill_sdk::prelude::*;

/// The skill.
#[derive(Default)]
struct Tiny;

impl Skill for Tiny {
    fn handle(&mut self, event: Event<'_>) -> Result<Response, Error> {
        Ok(Response::bytes(event.data()))
    }
}

cis_skill_sdk::skill!(Tiny);
