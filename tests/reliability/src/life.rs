//! One life of a child process that prints lines and is killed after some of them.

use std::error::Error;
use std::io::{BufRead, BufReader};
use std::process::{Command, ExitStatus, Stdio};
use std::thread;
use std::time::Duration;

/// The most lines that are waited for before the kill.
const PATIENCE: u64 = 60;

/// How a child's life went.
pub(crate) struct Life {
    /// Whole lines that it printed.
    pub(crate) lines: u64,
    pub(crate) killed: bool,
    pub(crate) ended: ExitStatus,
}

/// Starts a child, hands the words of each line to `heard`, and kills it if it is to be killed. A line that `heard` does not know
/// is an error.
pub(crate) fn live(
    command: &mut Command,
    kill: bool,
    dice: &mut fastrand::Rng,
    mut heard: impl FnMut(&[&str]) -> Result<bool, Box<dyn Error>>,
) -> Result<Life, Box<dyn Error>> {
    let mut child = command.stdout(Stdio::piped()).spawn()?;
    let mut lines = BufReader::new(child.stdout.take().expect("stdout was piped"));
    let (patience, moment) = (dice.u64(1..=PATIENCE), Duration::from_micros(dice.u64(..2_000)));
    let (mut line, mut read, mut killed) = (Vec::new(), 0, false);
    loop {
        line.clear();
        // What was printed before the kill counts as well, up to a line that the kill cut off.
        if lines.read_until(b'\n', &mut line)? == 0 || !line.ends_with(b"\n") {
            break;
        }
        let text = String::from_utf8_lossy(&line);
        if !heard(&text.split_whitespace().collect::<Vec<_>>())? {
            child.kill()?;
            child.wait()?;
            return Err(format!("the child said: {text}").into());
        }
        read += 1;
        if kill && read == patience {
            // Into the middle of whatever the child is doing.
            thread::sleep(moment);
            child.kill()?;
            killed = true;
        }
    }
    Ok(Life { lines: read, killed, ended: child.wait()? })
}
