//! What is wrong with a JSON text. Where, the reader knows: it stands there.

use alloc_crate::borrow::Cow;
use alloc_crate::string::String;
use core::fmt::{self, Display, Write};

use serde::de::{Error, Expected, Unexpected};

#[derive(Debug)]
pub(super) struct Problem {
    text: Cow<'static, str>,
}

impl Problem {
    pub(super) const fn new(text: &'static str) -> Self {
        Problem { text: Cow::Borrowed(text) }
    }

    /// Something else stands where `expected` should.
    #[inline(never)]
    pub(super) fn mismatch(found: &str, expected: &dyn Expected) -> Self {
        let mut text = String::from("expected ");
        // A `Display` that fails has failed to say the rest.
        let _ = write!(text, "{expected}");
        text.push_str(", found ");
        text.push_str(found);
        Problem { text: Cow::Owned(text) }
    }

    #[inline(never)]
    fn named(what: &str, name: &str) -> Self {
        let mut text = String::from(what);
        text.push_str(" `");
        text.push_str(name);
        text.push('`');
        Problem { text: Cow::Owned(text) }
    }

    pub(super) fn text(&self) -> &str {
        &self.text
    }
}

/// The kind of a value. Without the value: see the module above.
fn kind(unexpected: &Unexpected<'_>) -> &'static str {
    match unexpected {
        Unexpected::Bool(_) => "a boolean",
        Unexpected::Unsigned(_) | Unexpected::Signed(_) => "a whole number",
        Unexpected::Float(_) => "a number with a fraction",
        Unexpected::Char(_) | Unexpected::Str(_) | Unexpected::Bytes(_) => "a string",
        Unexpected::Unit | Unexpected::Option => "null",
        Unexpected::Seq => "an array",
        Unexpected::Map | Unexpected::StructVariant => "an object",
        _ => "something else",
    }
}

impl Error for Problem {
    fn custom<T: Display>(message: T) -> Self {
        let mut text = String::new();
        let _ = write!(text, "{message}");
        Problem { text: Cow::Owned(text) }
    }

    fn invalid_type(unexpected: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Problem::mismatch(kind(&unexpected), expected)
    }

    fn invalid_value(unexpected: Unexpected<'_>, expected: &dyn Expected) -> Self {
        let found = match unexpected {
            Unexpected::Unsigned(_) | Unexpected::Signed(_) => "a number out of range",
            Unexpected::Str(_) => "another string",
            _ => kind(&unexpected),
        };
        Problem::mismatch(found, expected)
    }

    fn invalid_length(_len: usize, expected: &dyn Expected) -> Self {
        Problem::mismatch("another length", expected)
    }

    fn unknown_variant(variant: &str, _expected: &'static [&'static str]) -> Self {
        Problem::named("unknown variant", variant)
    }

    fn unknown_field(field: &str, _expected: &'static [&'static str]) -> Self {
        Problem::named("unknown field", field)
    }

    fn missing_field(field: &'static str) -> Self {
        Problem::named("missing field", field)
    }

    fn duplicate_field(field: &'static str) -> Self {
        Problem::named("duplicate field", field)
    }
}

impl Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl core::error::Error for Problem {}
