//! One step of an agent: what most skills are made of.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use crate::World;

#[derive(Deserialize)]
struct Step<'a> {
    user: &'a str,
    goal: &'a str,
    budget: Budget,
    messages: Vec<Message<'a>>,
    tools: Vec<&'a str>,
}

#[derive(Deserialize)]
struct Budget {
    tokens: u32,
    calls: u32,
}

#[derive(Deserialize)]
struct Message<'a> {
    role: &'a str,
    content: &'a str,
}

#[derive(Serialize)]
struct Answer<'a> {
    user: &'a str,
    tool: &'a str,
    tokens: u32,
    calls: u32,
    words: usize,
    profile: u32,
    note: String,
}

/// Bytes of what is remembered from step to step.
const REMEMBERED: usize = 256;

/// Bytes of an answer.
const ANSWER: usize = 512;

/// Reads what is remembered of the user, and the step; logs; remembers; answers.
///
/// # Errors
///
/// When the data are not a step.
pub fn agent_step(world: &mut impl World, data: &[u8]) -> Result<Vec<u8>, serde_json::Error> {
    let profile = world.get("profile").unwrap_or_default();
    let step: Step<'_> = serde_json::from_slice(data)?;
    let words: usize = step.messages.iter().map(|message| message.content.split_ascii_whitespace().count()).sum();
    let asked = step.messages.iter().filter(|message| message.role == "user").count();
    world.log(&format!("{}: {} messages, {words} words", step.user, step.messages.len()));

    let mut remembered = format!("{} wants: {}; {words} words, {asked} asked", step.user, step.goal);
    fill(&mut remembered, REMEMBERED);
    world.set("last", remembered.as_bytes());

    let tool = step.tools.get(words % step.tools.len().max(1)).copied().unwrap_or("none");
    let profile = profile.iter().fold(0_u32, |sum, byte| sum.wrapping_mul(31).wrapping_add((*byte).into()));
    let Budget { tokens, calls } = step.budget;
    let mut answer = Answer { user: step.user, tool, tokens, calls, words, profile, note: String::new() };
    let bare = serde_json::to_vec(&answer)?.len();
    answer.note.push_str(step.goal);
    fill(&mut answer.note, ANSWER.saturating_sub(bare));
    serde_json::to_vec(&answer)
}

/// The same a hundred times, with all that it asks for inside of the guest: what the step itself costs.
///
/// # Errors
///
/// When the data are not a step.
pub fn agent_step_alone(data: &[u8]) -> Result<Vec<u8>, serde_json::Error> {
    struct Alone;
    impl World for Alone {
        fn get(&mut self, _: &str) -> Option<Vec<u8>> {
            Some(Vec::from([b'p'; REMEMBERED]))
        }
        fn set(&mut self, _: &str, value: &[u8]) {
            core::hint::black_box(value);
        }
        fn log(&mut self, line: &str) {
            core::hint::black_box(line);
        }
    }
    for _ in 0..99 {
        core::hint::black_box(agent_step(&mut Alone, core::hint::black_box(data))?);
    }
    agent_step(&mut Alone, data)
}

/// Makes a text as long as it has to be.
fn fill(text: &mut String, len: usize) {
    text.truncate(len);
    while text.len() < len {
        text.push('.');
    }
}
