//! Log levels, as `host_log` takes them.

/// How important a log line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(i32)]
pub enum Level {
    /// 0: for whoever writes the skill.
    Debug = 0,
    /// 1: what happened.
    Info = 1,
    /// 2: something an operator may want to look at.
    Warn = 2,
    /// 3: something failed.
    Error = 3,
}

impl Level {
    /// All levels, in the order of their numbers.
    pub const ALL: [Level; 4] = [Level::Debug, Level::Info, Level::Warn, Level::Error];

    /// The level of a number from the guest. Numbers out of range saturate: `host_log` has no result to refuse with.
    pub const fn from_i32(level: i32) -> Self {
        match level {
            i32::MIN..=0 => Level::Debug,
            1 => Level::Info,
            2 => Level::Warn,
            3..=i32::MAX => Level::Error,
        }
    }

    /// The level's name in lower case.
    pub const fn name(self) -> &'static str {
        match self {
            Level::Debug => "debug",
            Level::Info => "info",
            Level::Warn => "warn",
            Level::Error => "error",
        }
    }
}
