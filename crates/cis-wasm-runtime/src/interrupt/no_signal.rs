//! Where threads cannot be interrupted: guest code looks at the clock itself there.

use std::io;
use std::sync::OnceLock;
use std::time::Instant;

/// A thread, for signals.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct ThreadId;

pub(super) fn this_thread() -> ThreadId {
    ThreadId
}

/// There is nothing to send: no [`Watch`](super::Watch) is made here, so nobody asks for it.
pub(super) fn send(_: ThreadId) {}

pub(super) fn unblock() {}

/// Nanoseconds since the first call.
pub(super) fn monotonic() -> u64 {
    static BASE: OnceLock<Instant> = OnceLock::new();
    u64::try_from(BASE.get_or_init(Instant::now).elapsed().as_nanos()).unwrap_or(u64::MAX)
}

/// # Errors
///
/// Always.
pub(super) fn handle() -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}
