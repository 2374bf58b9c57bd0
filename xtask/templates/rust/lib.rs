//! Greets people, and remembers how often.
//!
//! | event | data | answer |
//! |---|---|---|
//! | `greet` | `{"name"}` | `{"greeting", "times"}` |
#![no_std]

use cis_skill_sdk::prelude::*;
use serde::{Deserialize, Serialize};

/// The skill.
#[derive(Default)]
pub struct __TYPE__;

#[derive(Deserialize)]
struct Greet {
    name: String,
}

#[derive(Serialize)]
struct Greeting {
    greeting: String,
    times: u32,
}

impl Skill for __TYPE__ {
    fn handle(&mut self, event: Event<'_>) -> Result<Response, Error> {
        match event.kind() {
            "greet" => Response::json(&greet(event.json()?)?),
            _ => Err(event.unknown()),
        }
    }
}

skill!(__TYPE__);

fn greet(Greet { name }: Greet) -> Result<Greeting, Error> {
    if name.is_empty() {
        return Err(Error::invalid("`name` is empty"));
    }
    let key = format!("times/{name}");
    let times = Memory::json::<u32>(&key)?.unwrap_or(0).saturating_add(1);
    Memory::set_json(&key, &times)?;
    info!("greeted {name}");
    let greeting = format!("Hello, {name}!");
    Ok(Greeting { greeting, times })
}

#[cfg(test)]
mod tests {
    use cis_skill_sdk::native::TestHost;

    use super::*;

    #[test]
    fn it_counts_its_greetings() {
        let mut host = TestHost::new();
        let first = host.send::<__TYPE__>("greet", r#"{"name":"Ada"}"#);
        assert_eq!(first.text(), r#"{"greeting":"Hello, Ada!","times":1}"#);
        let second = host.send::<__TYPE__>("greet", r#"{"name":"Ada"}"#);
        assert_eq!(second.text(), r#"{"greeting":"Hello, Ada!","times":2}"#);
    }

    #[test]
    fn nobody_is_not_greeted() {
        let mut host = TestHost::new();
        let outcome = host.send::<__TYPE__>("greet", r#"{"name":""}"#);
        assert_eq!(outcome.failure().message, "`name` is empty");
    }
}
