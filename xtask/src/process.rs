//! Other programs: cargo above all.

use std::env;
use std::ffi::OsStr;
use std::io::{self, ErrorKind, IsTerminal, Read, Write};
use std::process::{Command, Stdio};

use crate::failure::Failure;

/// The cargo that runs this program, or the one on the path.
///
/// It does not see what cargo told this program about its package: some build scripts look at these variables, and build
/// again when they are not what they were for somebody who called cargo directly.
pub(crate) fn cargo() -> Command {
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    for (name, _) in env::vars_os() {
        if name.to_str().is_some_and(about_a_package) {
            cargo.env_remove(name);
        }
    }
    cargo
}

fn about_a_package(variable: &str) -> bool {
    variable.starts_with("CARGO_PKG_") || variable.starts_with("CARGO_MANIFEST_")
}

/// The command as a person would type it.
pub(crate) fn shown(command: &Command) -> String {
    let program = std::path::Path::new(command.get_program()).file_name().unwrap_or(command.get_program());
    let words = std::iter::once(program).chain(command.get_args()).map(OsStr::to_string_lossy);
    let plain = |word: &str| word.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_./:=,@+*".contains(&byte));
    words.map(|word| if plain(&word) { word.into_owned() } else { format!("'{word}'") }).collect::<Vec<_>>().join(" ")
}

/// Says what is run, runs it, and fails when it fails.
pub(crate) fn run(command: &mut Command) -> Result<(), Failure> {
    eprintln!("$ {}", shown(command));
    let status = command.status().map_err(|error| not_started(command, &error))?;
    if status.success() { Ok(()) } else { Err(Failure::said(format!("`{}` failed ({status})", shown(command)))) }
}

/// Runs it quietly and gives what it printed. What it said on stderr is in the failure.
pub(crate) fn output(command: &mut Command) -> Result<String, Failure> {
    let output = command.output().map_err(|error| not_started(command, &error))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(Failure::said(format!("`{}` failed ({}):\n{}", shown(command), output.status, said.trim_end())));
    }
    String::from_utf8(output.stdout).map_err(|_| Failure::said(format!("`{}` printed no UTF-8", shown(command))))
}

/// Runs a cargo build and gives its stdout. Its progress goes to stderr, but nothing does when all was up to date.
pub(crate) fn cargo_build(command: &mut Command) -> Result<String, Failure> {
    if io::stderr().is_terminal() {
        // A pipe hides the terminal from cargo.
        command.env("CARGO_TERM_PROGRESS_WHEN", "always").env("CARGO_TERM_PROGRESS_WIDTH", "100");
        if env::var_os("CARGO_TERM_COLOR").is_none() {
            command.env("CARGO_TERM_COLOR", "always");
        }
    }
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| not_started(command, &error))?;
    let stderr = child.stderr.take().expect("stderr was piped");
    let relay = std::thread::spawn(move || relay_news(stderr, io::stderr()));
    let mut stdout = String::new();
    let read = child.stdout.take().expect("stdout was piped").read_to_string(&mut stdout);
    let status = child.wait();
    // The relay only fails when nobody reads our stderr.
    drop(relay.join());
    match (read, status) {
        (Ok(_), Ok(status)) if status.success() => Ok(stdout),
        (_, Ok(status)) => Err(Failure::said(format!("`{}` failed ({status})", shown(command)))),
        (_, Err(error)) => Err(not_started(command, &error)),
    }
}

/// Hands over to a program. Comes back only to say why it could not.
#[cfg(unix)]
pub(crate) fn hand_over(command: &mut Command) -> Failure {
    use std::os::unix::process::CommandExt;
    let error = command.exec();
    not_started(command, &error)
}

/// Hands over to a program and ends as it ends.
#[cfg(not(unix))]
pub(crate) fn hand_over(command: &mut Command) -> Failure {
    match command.status() {
        Ok(status) => Failure::Ended(status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1)),
        Err(error) => not_started(command, &error),
    }
}

pub(crate) fn not_started(command: &Command, error: &io::Error) -> Failure {
    let program = command.get_program().to_string_lossy();
    match error.kind() {
        ErrorKind::NotFound => Failure::said(format!("`{program}` is not installed, or not on the path")),
        _ => Failure::said(format!("`{program}` could not be started: {error}")),
    }
}

/// Passes on what cargo says, but for the line that only says it is done.
fn relay_news(mut from: impl Read, mut to: impl Write) -> io::Result<()> {
    let mut segment = Vec::new();
    let mut chunk = [0; 4096];
    loop {
        let read = from.read(&mut chunk)?;
        for &byte in &chunk[..read] {
            segment.push(byte);
            // Cargo ends a line with `\n` and redraws its bar with `\r`.
            if matches!(byte, b'\n' | b'\r') {
                pass_on(&mut segment, &mut to)?;
            }
        }
        if read == 0 {
            return pass_on(&mut segment, &mut to);
        }
        to.flush()?;
    }
}

fn pass_on(segment: &mut Vec<u8>, to: &mut impl Write) -> io::Result<()> {
    let done = b"Finished";
    if !segment.windows(done.len()).any(|window| window == done) {
        to.write_all(segment)?;
    }
    segment.clear();
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn relays(said: &str, passed_on: &str) {
        let mut out = Vec::new();
        relay_news(said.as_bytes(), &mut out).unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), passed_on);
    }

    #[test]
    fn only_the_closing_line_of_a_build_is_dropped() {
        relays("    Finished `dev` profile in 0.05s\n", "");
        relays("   Compiling a v0.1.0\n    Finished `dev`\n", "   Compiling a v0.1.0\n");
        relays("Building [=> ] 1/2\rerror: no\n", "Building [=> ] 1/2\rerror: no\n");
        relays("no newline at the end", "no newline at the end");
    }

    #[test]
    fn commands_are_shown_as_typed() {
        let mut command = Command::new("cargo");
        command.args(["test", "--", "two words", "{}"]);
        assert_eq!(shown(&command), "cargo test -- 'two words' '{}'");
    }

    #[test]
    fn what_cargo_says_about_this_package_is_not_handed_on() {
        // Under `cargo test` cargo has said it.
        assert!(env::var_os("CARGO_MANIFEST_DIR").is_some());
        let removed: Vec<_> =
            cargo().get_envs().filter(|(_, value)| value.is_none()).map(|(name, _)| name.to_owned()).collect();
        assert!(removed.contains(&"CARGO_MANIFEST_DIR".into()) && removed.contains(&"CARGO_PKG_NAME".into()));
        assert!(!about_a_package("CARGO_HOME") && !about_a_package("CARGO_TERM_COLOR"));
    }

    #[test]
    fn a_missing_program_is_named() {
        let failure = run(&mut Command::new("cis-no-such-program")).unwrap_err();
        assert_eq!(failure.message(), "`cis-no-such-program` is not installed, or not on the path");
    }
}
