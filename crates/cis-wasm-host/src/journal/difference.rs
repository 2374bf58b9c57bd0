//! How two calls differ, in words for an operator. Never with a secret, and never long.

use crate::{HostCall, Secrets};

/// How many bytes of an argument are shown before and after the place where it differs.
const BEFORE: usize = 24;
const AFTER: usize = 40;

/// The first difference between a journalled call and the one that was made instead.
pub(super) fn between(journalled: &HostCall, made: &HostCall, secrets: &Secrets) -> String {
    if journalled.name() != made.name() {
        return format!("the run has {}, the journal {}", in_short(made), in_short(journalled));
    }
    if let (HostCall::Log { level: was, .. }, HostCall::Log { level: is, .. }) = (journalled, made)
        && was != is
    {
        return format!("{} with the level {}, in the journal {}", made.name(), is.name(), was.name());
    }
    for ((what, was), (_, is)) in journalled.arguments().zip(made.arguments()) {
        if was == is {
            continue;
        }
        let name = made.name();
        let at = first_difference(was, is);
        let lengths = format!("{} bytes, in the journal {}", is.len(), was.len());
        // Scrubbed before it is cut: a piece of a secret would not be recognised.
        let (was, is) = (shown(was, secrets), shown(is, secrets));
        let here = first_difference(was.as_bytes(), is.as_bytes());
        let (was, is) = (excerpt(&was, here), excerpt(&is, here));
        return format!("{name} with another {what} ({lengths}), from byte {at} on: {is}, in the journal {was}");
    }
    // Two calls with all parts equal are equal; this is for a part that is added and forgotten here.
    format!("{} with other arguments", made.name())
}

/// A call in few words: its arguments may be megabytes.
pub(super) fn in_short(call: &HostCall) -> String {
    format!("{} with {} bytes", call.name(), call.bytes())
}

fn first_difference(a: &[u8], b: &[u8]) -> usize {
    a.iter().zip(b).position(|(a, b)| a != b).unwrap_or(a.len().min(b.len()))
}

fn shown(argument: &[u8], secrets: &Secrets) -> String {
    secrets.scrub(&String::from_utf8_lossy(argument)).into_owned()
}

/// What stands around a place of a text, in quotes.
fn excerpt(text: &str, at: usize) -> String {
    let begin = text.floor_char_boundary(at.saturating_sub(BEFORE));
    let end = text.ceil_char_boundary(at.saturating_add(AFTER).min(text.len()));
    let dots = |cut: bool| if cut { "…" } else { "" };
    format!("{}{:?}{}", dots(begin > 0), &text[begin..end], dots(end < text.len()))
}
