//! What reaches a terminal.

use std::io::{self, Write};

use crate::report::{Problem, Report};

/// Prints a report for people: the response to stdout, everything else to stderr.
///
/// # Errors
///
/// When stdout or stderr cannot be written to.
pub(crate) fn report(report: &Report) -> io::Result<()> {
    let mut err = io::stderr().lock();
    for line in report.log() {
        writeln!(err, "[{}] {}", line.level.name(), harmless(&line.message))?;
    }
    match &report.result {
        Ok(response) => {
            let mut out = io::stdout().lock();
            out.write_all(response.body())?;
            if !response.body().is_empty() && !response.body().ends_with(b"\n") {
                out.write_all(b"\n")?;
            }
            out.flush()?;
        }
        Err(Problem::Caller(message)) => writeln!(err, "error: {message}")?,
        Err(Problem::Skill(error)) => {
            let message = harmless(&error.to_string());
            writeln!(err, "error[{}] (fault: {}): {message}", error.code(), error.fault().name())?;
        }
    }
    if let Some(receipt) = report.receipt() {
        let used = receipt.ledger.used();
        let amounts = used.iter().filter(|(_, amount)| *amount > 0);
        write!(err, "used:")?;
        for (resource, amount) in amounts {
            write!(err, " {}={amount}", resource.name())?;
        }
        let wall = receipt.wall.as_micros();
        writeln!(err, " memory_bytes={} fuel={} wall_us={wall}", receipt.memory_bytes, receipt.fuel)?;
    }
    Ok(())
}

/// A skill's text without control characters, which could do things to a terminal.
pub(crate) fn harmless(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for char in text.chars() {
        match char {
            '\t' => out.push(char),
            char if char.is_control() => out.extend(char.escape_default()),
            char => out.push(char),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_are_shown_and_not_obeyed() {
        assert_eq!(harmless("a\u{1b}[2Jb\tc\nd é"), "a\\u{1b}[2Jb\tc\\nd é");
    }
}
