//! A mebibyte of guest as a skill.
#![cfg_attr(target_arch = "wasm32", no_std)]

use cis_skill_sdk::prelude::*;

/// The skill.
#[derive(Default)]
struct Big;

impl Skill for Big {
    fn handle(&mut self, event: Event<'_>) -> Result<Response, Error> {
        match event.kind() {
            "ping" => Ok(Response::bytes(compare_big::ping(event.data()))),
            "matches" => Ok(Response::bytes(compare_big::matches(event.data()))),
            _ => Err(event.unknown()),
        }
    }
}

cis_skill_sdk::skill!(Big);
