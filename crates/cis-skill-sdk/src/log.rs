//! The skill's log.

use core::fmt::{self, Write};

use crate::line::Line;
use crate::{Level, door};

/// Writes to the skill's log. A line above [`ceilings::LOG_LINE`](crate::ceilings::LOG_LINE) bytes is cut by the host.
///
/// With something to format, the macros [`debug!`](crate::debug), [`info!`](crate::info), [`warn!`](crate::warn) and
/// [`error!`](crate::error) are shorter.
pub struct Log;

impl Log {
    /// For whoever writes the skill.
    pub fn debug(message: &str) {
        door::log(Level::Debug, message.as_bytes());
    }

    /// What happened.
    pub fn info(message: &str) {
        door::log(Level::Info, message.as_bytes());
    }

    /// Something an operator may want to look at.
    pub fn warn(message: &str) {
        door::log(Level::Warn, message.as_bytes());
    }

    /// Something failed.
    pub fn error(message: &str) {
        door::log(Level::Error, message.as_bytes());
    }
}

/// Behind the macros. Inlined, so that a message without arguments leaves no formatting behind in the module.
#[inline(always)]
pub fn write(level: Level, message: fmt::Arguments<'_>) {
    match message.as_str() {
        Some(message) => door::log(level, message.as_bytes()),
        None => format(level, message),
    }
}

#[inline(never)]
fn format(level: Level, message: fmt::Arguments<'_>) {
    let mut line = Line::new();
    // A `Display` that fails has failed to say the rest. What it said is logged.
    let _ = line.write_fmt(message);
    door::log(level, line.as_bytes());
}

/// Logs at [`Level::Debug`](crate::Level::Debug); arguments as for `format!`.
#[macro_export]
macro_rules! debug {
    ($($message:tt)+) => { $crate::macros::write($crate::Level::Debug, ::core::format_args!($($message)+)) };
}

/// Logs at [`Level::Info`](crate::Level::Info); arguments as for `format!`.
#[macro_export]
macro_rules! info {
    ($($message:tt)+) => { $crate::macros::write($crate::Level::Info, ::core::format_args!($($message)+)) };
}

/// Logs at [`Level::Warn`](crate::Level::Warn); arguments as for `format!`.
#[macro_export]
macro_rules! warn {
    ($($message:tt)+) => { $crate::macros::write($crate::Level::Warn, ::core::format_args!($($message)+)) };
}

/// Logs at [`Level::Error`](crate::Level::Error); arguments as for `format!`.
#[macro_export]
macro_rules! error {
    ($($message:tt)+) => { $crate::macros::write($crate::Level::Error, ::core::format_args!($($message)+)) };
}
