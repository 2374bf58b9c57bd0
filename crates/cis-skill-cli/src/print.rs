//! What reaches a terminal.

use std::io::{self, IsTerminal, Write};

use serde_json::Value as Json;

use crate::report::{Problem, Report};

/// Prints a text on stdout.
///
/// # Errors
///
/// When stdout cannot be written to: nobody reads it any more, for one.
pub(crate) fn text(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}

/// Prints JSON as one line on stdout.
///
/// # Errors
///
/// As for [`text`].
pub(crate) fn json(value: &Json) -> io::Result<()> {
    text(&format!("{value}\n"))
}

/// Prints a report for people: the response to stdout, everything else to stderr.
///
/// # Errors
///
/// When stdout or stderr cannot be written to.
pub(crate) fn report(report: &Report) -> io::Result<()> {
    let mut err = io::stderr().lock();
    log(&mut err, report)?;
    if let Some(cache) = report.cache.as_deref().filter(|cache| !["off", "hit", "miss"].contains(cache)) {
        writeln!(err, "compiled anew, the cache is {}", harmless(cache))?;
    }
    match &report.result {
        Ok(response) => {
            let mut out = io::stdout().lock();
            let body = if out.is_terminal() { for_terminal(response.body()) } else { response.body().to_vec() };
            out.write_all(&body)?;
            if !body.is_empty() && !body.ends_with(b"\n") {
                out.write_all(b"\n")?;
            }
            out.flush()?;
        }
        Err(problem) => {
            let message = harmless(&problem.message());
            match problem {
                Problem::Caller(_) => writeln!(err, "error: {message}")?,
                Problem::Skill(error) => {
                    writeln!(err, "error[{}] (fault: {}): {message}", error.code(), error.fault().name())?;
                }
            }
        }
    }
    used(&mut err, report)
}

/// Prints what there is of an event that was stopped on the way: its log and what it has used.
///
/// # Errors
///
/// When stderr cannot be written to.
pub(crate) fn state(report: &Report) -> io::Result<()> {
    let mut err = io::stderr().lock();
    log(&mut err, report)?;
    used(&mut err, report)
}

fn log(err: &mut impl Write, report: &Report) -> io::Result<()> {
    report.log().try_for_each(|line| writeln!(err, "[{}] {}", line.level.name(), harmless(&line.message)))
}

fn used(err: &mut impl Write, report: &Report) -> io::Result<()> {
    report.receipt().map_or(Ok(()), |receipt| writeln!(err, "used: {receipt}"))
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

/// A skill's response the same way, its lines kept.
fn for_terminal(body: &[u8]) -> Vec<u8> {
    let text = String::from_utf8_lossy(body);
    text.split_inclusive('\n')
        .map(|line| line.strip_suffix('\n').map_or_else(|| harmless(line), |line| harmless(line) + "\n"))
        .collect::<String>()
        .into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_response_keeps_its_lines_and_nothing_else_that_a_terminal_obeys() {
        assert_eq!(for_terminal(b"a\n\x1b[2J\r\nb"), b"a\n\\u{1b}[2J\\r\nb");
        assert_eq!(for_terminal(b"\xff\n"), "\u{fffd}\n".as_bytes());
    }

    #[test]
    fn control_characters_are_shown_and_not_obeyed() {
        assert_eq!(harmless("a\u{1b}[2Jb\tc\nd é"), "a\\u{1b}[2Jb\tc\\nd é");
    }
}
