//! Runs the program of this package, so that what ends a process is a failed test.
#![allow(dead_code, unreachable_pub, reason = "every test file is a crate and uses its own part")]

use std::io::{BufRead, BufReader, Read};
use std::process::{Command, Stdio};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

use cis_generated::{Oracle, Tally};

/// How long one input may take before it hangs. Hundreds of times what any takes on a busy machine.
const HANGS: Duration = Duration::from_secs(300);

/// Feeds an oracle the bytes of these seeds, in a process of its own.
#[track_caller]
pub fn seeds(oracle: Oracle, from: u64, to: u64) -> Tally {
    passes(&[oracle.name(), "seeds", &from.to_string(), &to.to_string()])
}

/// Feeds an oracle its corpus, in a process of its own.
#[track_caller]
pub fn corpus(oracle: Oracle) -> Tally {
    let files = oracle.corpus().unwrap();
    assert!(!files.is_empty(), "there is no corpus for {}", oracle.name());
    let files = files.iter().map(|file| file.to_str().unwrap());
    let args: Vec<&str> = [oracle.name(), "files"].into_iter().chain(files).collect();
    passes(&args)
}

#[track_caller]
fn passes(args: &[&str]) -> Tally {
    match run(args) {
        Ok(tally) => {
            println!("{}: {tally}", args[..2].join(" "));
            tally
        }
        Err(why) => panic!("{why}"),
    }
}

/// Runs the program with these arguments: what it tallied, or why not, with the input at which it ended.
pub fn run(args: &[&str]) -> Result<Tally, String> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cis-generated"));
    let mut child = command.args(args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut stderr = child.stderr.take().unwrap();
    let stderr = thread::spawn(move || {
        let mut said = Vec::new();
        stderr.read_to_end(&mut said).map(|_| String::from_utf8_lossy(&said).into_owned())
    });
    let stdout = BufReader::new(child.stdout.take().unwrap());
    let (say, said) = channel();
    thread::spawn(move || stdout.lines().map_while(Result::ok).try_for_each(|line| say.send(line)));
    let mut last = "nothing".to_owned();
    let mut hung = false;
    loop {
        match said.recv_timeout(HANGS) {
            Ok(line) => last = line,
            Err(RecvTimeoutError::Disconnected) => break,
            Err(RecvTimeoutError::Timeout) => {
                hung = true;
                child.kill().unwrap();
                break;
            }
        }
    }
    let status = child.wait().unwrap();
    let stderr = stderr.join().unwrap().unwrap();
    match last.strip_prefix("tally ") {
        Some(tally) if status.success() => tally.parse(),
        _ => {
            let how = if hung { "hung".to_owned() } else { format!("ended with {status}") };
            // What is said last says why; before it are panics of compilers, which are caught.
            let tail: Vec<&str> = stderr.lines().rev().take(40).collect();
            let tail: Vec<&str> = tail.into_iter().rev().collect();
            Err(format!("`cis-generated {}` {how} at `{last}`:\n{}", args[..2].join(" "), tail.join("\n")))
        }
    }
}
