//! JSON in and out.
//!
//! Writing is `serde_json`'s. Reading is our own, over serde's traits: the errors of `serde_json` print any value that
//! was not expected, floating-point numbers too, and the code for that alone is 30 KiB in every skill that reads JSON.
//! Here an error says what was expected, what kind of value stood there, and where.

mod number;
mod problem;
mod reader;
#[cfg(test)]
mod tests;
mod text;

use alloc_crate::string::String;
use alloc_crate::vec::Vec;

use serde::{Deserialize, Serialize};

use crate::Error;
use problem::Problem;
use reader::Reader;

/// Reads one value. `what` names the text in the error.
pub(crate) fn read<'de, T: Deserialize<'de>>(bytes: &'de [u8], what: &str) -> Result<T, String> {
    let mut reader = Reader::new(bytes);
    let value = T::deserialize(&mut reader).and_then(|value| reader.end().map(|()| value));
    value.map_err(|problem| describe(what, reader.position(), &problem))
}

/// Writes a value.
pub(crate) fn write<T: Serialize + ?Sized>(value: &T) -> Result<Vec<u8>, Error> {
    serde_json::to_vec(value).map_err(|_| Error::failed("a value has no form in JSON: the key of a map is not text"))
}

#[inline(never)]
fn describe(what: &str, position: u32, problem: &Problem) -> String {
    let mut text = String::from(what);
    text.push_str(": ");
    text.push_str(problem.text());
    text.push_str(" at byte ");
    text.push_str(&String::from_utf8(crate::IntoText::into_text(position)).unwrap_or_default());
    text
}
