//! The trait that is a skill.

use crate::line::Line;
use crate::{Error, Event, Response, door};

/// A skill: how it starts, what it does with an event, how it ends.
///
/// The value itself is the skill's state. With `state = "fresh"` (the default of a manifest) every event finds it as
/// [`Skill::init`] left it; with `state = "kept"` it stays from event to event, until the skill is unloaded or traps.
/// What must last longer goes through [`Memory`](crate::Memory).
///
/// ```
/// use cis_skill_sdk::prelude::*;
/// use cis_skill_sdk::native::TestHost;
///
/// #[derive(Default)]
/// pub struct Echo;
///
/// impl Skill for Echo {
///     fn handle(&mut self, event: Event<'_>) -> Result<Response, Error> {
///         match event.kind() {
///             "echo" => Ok(Response::bytes(event.data())),
///             _ => Err(event.unknown()),
///         }
///     }
/// }
///
/// skill!(Echo);
///
/// assert_eq!(TestHost::new().send::<Echo>("echo", "hello").text(), "hello");
/// ```
pub trait Skill: Default {
    /// Called once after load, before the first event.
    ///
    /// # Errors
    ///
    /// An error refuses the skill.
    fn init(&mut self) -> Result<(), Error> {
        Ok(())
    }

    /// Handles one event.
    ///
    /// # Errors
    ///
    /// An error fails the event with the error's code and text.
    fn handle(&mut self, event: Event<'_>) -> Result<Response, Error>;

    /// Called once before a kept skill goes. A skill that trapped is gone without it.
    fn shutdown(&mut self) {}
}

/// Ends an event or an init with an error: its text goes to the host, its code is what is left.
pub(crate) fn conclude(error: &Error) -> i32 {
    let mut line = Line::new();
    error.pieces().into_iter().for_each(|piece| line.push(piece));
    door::set_error(line.as_bytes());
    error.code()
}
