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
    Ok(Greeting { greeting: format!("Hello, {name}!"), times })
}

#[cfg(test)]
mod tests {
    use cis_skill_sdk::native::TestHost;

    use super::*;

    #[test]
    fn it_counts_its_greetings() {
        let mut host = TestHost::new();
        for times in 1..=2 {
            let answer = host.send::<__TYPE__>("greet", r#"{"name":"Ada"}"#).text();
            assert_eq!(answer, format!(r#"{{"greeting":"Hello, Ada!","times":{times}}}"#));
        }
    }

    #[test]
    fn nobody_is_not_greeted() {
        let failure = TestHost::new().send::<__TYPE__>("greet", r#"{"name":""}"#).failure();
        assert_eq!(failure.message, "`name` is empty");
    }
}
