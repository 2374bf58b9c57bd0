//! A panic's message reaches the host before the module traps.

use core::fmt::Write;
use core::panic::PanicInfo;

use crate::line::Line;
use crate::{Level, door};

/// Tells the host about a panic, and traps.
///
/// Where it happened is told in builds with debug assertions only: the paths of all files that may panic are a
/// kilobyte, and name the machine that built the skill.
pub fn report(info: &PanicInfo<'_>) -> ! {
    let mut line = Line::new();
    line.push("panicked");
    #[cfg(debug_assertions)]
    if let Some(place) = info.location() {
        // `Line` takes what it has room for and never fails, here and below.
        let _ = write!(line, " at {}:{}", place.file(), place.line());
    }
    line.push(": ");
    let _ = write!(line, "{}", info.message());
    give_up(line.as_bytes())
}

/// Says why, and traps. Unlike `panic!` it names no file and formats nothing, so that it is nearly free.
#[cold]
pub(crate) fn give_up(why: &[u8]) -> ! {
    door::log(Level::Error, why);
    door::set_error(why);
    core::arch::wasm32::unreachable()
}
