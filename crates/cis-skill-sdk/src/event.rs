//! What a skill is called with.

use alloc_crate::borrow::Cow;
use alloc_crate::string::String;

use crate::body::copied;
use crate::line::Line;
use crate::{Error, Status};

/// One event: a type and bytes. It borrows from the host's copy in the skill's memory.
///
/// ```
/// use cis_skill_sdk::Event;
///
/// let event = Event::new("greet", b"Ada");
/// assert_eq!((event.kind(), event.text()), ("greet", Ok("Ada")));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event<'a> {
    kind: &'a str,
    data: &'a [u8],
}

impl<'a> Event<'a> {
    /// An event, for calling a handler by hand.
    pub const fn new(kind: &'a str, data: &'a [u8]) -> Self {
        Event { kind, data }
    }

    /// The event's type: one of [`EVENT_INIT`](crate::EVENT_INIT), [`EVENT_TICK`](crate::EVENT_TICK) and
    /// [`EVENT_MEMORY_CHANGE`](crate::EVENT_MEMORY_CHANGE), or the integrator's own.
    pub const fn kind(&self) -> &'a str {
        self.kind
    }

    /// The event's bytes.
    pub const fn data(&self) -> &'a [u8] {
        self.data
    }

    /// The event's bytes as text.
    ///
    /// # Errors
    ///
    /// [`Error::invalid`] when they are not UTF-8.
    pub fn text(&self) -> Result<&'a str, Error> {
        core::str::from_utf8(self.data).map_err(|_| Error::invalid("the event's data are not UTF-8"))
    }

    /// The event's bytes, read as JSON.
    ///
    /// # Errors
    ///
    /// [`Error::invalid`] that says what is wrong with them, and where.
    #[cfg(feature = "json")]
    pub fn json<T: serde::Deserialize<'a>>(&self) -> Result<T, Error> {
        crate::json::read(self.data, "the event's data").map_err(Error::invalid)
    }

    /// The error for an event whose type the skill does not handle. It names the type.
    pub fn unknown(&self) -> Error {
        let mut line = Line::new();
        ["the skill does not handle events of the type `", self.kind, "`"]
            .into_iter()
            .for_each(|piece| line.push(piece));
        let text = String::from_utf8(copied(line.as_bytes())).unwrap_or_default();
        Error::Skill { code: Status::InvalidArgument.code(), text: Cow::Owned(text) }
    }
}
