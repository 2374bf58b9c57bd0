//! The README's skill. It stands there as a whole crate, with `#![no_std]`, which no doctest can be; so it stands here too,
//! and is held to be the same.

use cis_skill_sdk::native::TestHost;

// begin
use cis_skill_sdk::prelude::*;

/// Greets, and remembers whom it greeted last.
#[derive(Default)]
pub struct Greeter;

impl Skill for Greeter {
    fn handle(&mut self, event: Event<'_>) -> Result<Response, Error> {
        match event.kind() {
            "greet" => {
                let name = event.text()?;
                Memory::set("last", name)?;
                info!("greeting {name}");
                Ok(Response::text(format!("Hello, {name}!")))
            }
            _ => Err(event.unknown()),
        }
    }
}

skill!(Greeter);
// end

#[test]
fn the_readme_shows_this_skill() {
    let here = include_str!("readme.rs").split("// begin\n").nth(1).unwrap();
    let here = here.split("// end").next().unwrap();
    assert!(include_str!("../README.md").contains(&format!("```rs\n#![no_std]\n{here}```\n")));
    // It says twenty lines: those that are not blank.
    assert!(here.lines().filter(|line| !line.trim().is_empty()).count() < 20);
}

#[test]
fn it_greets() {
    let mut host = TestHost::new();
    let outcome = host.send::<Greeter>("greet", "Ada");
    assert_eq!(outcome.log[0].message, "greeting Ada");
    assert_eq!(outcome.text(), "Hello, Ada!");
    assert_eq!(host.stored("last"), Some(&b"Ada"[..]));
    assert_eq!(host.send::<Greeter>("greet", [0xFF]).failure().message, "the event's data are not UTF-8");
    let failure = host.send::<Greeter>("dance", "").failure();
    assert_eq!(failure.status(), Some(Status::InvalidArgument));
    assert_eq!(failure.message, "the skill does not handle events of the type `dance`");
}
