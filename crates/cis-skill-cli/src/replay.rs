//! `replay`: a recorded event again, without any backend.

use std::fmt::Write;
use std::fs;
use std::process::ExitCode;

use cis_skill::Status;
use cis_skill::host::{Answer, HostReply, JournalEntry};
use cis_skill::recording::{Recording, Replay, Replayed, Verdict};
use serde_json::json;

use crate::cli::{Edit, ReplayArgs};
use crate::print::{self, harmless};
use crate::report::{Problem, Report};
use crate::run::{end, read};

/// Replays a recording, prints what came of it, and fails when that is not what was recorded.
pub(crate) fn replay(args: &ReplayArgs) -> ExitCode {
    let mut report = Report::of(args.recording.display().to_string());
    let (recording, replayed) = match replayed(args) {
        Ok(replayed) => replayed,
        Err(problem) => {
            report.result = Err(problem);
            return end(&report, args.json);
        }
    };
    let Replayed { result, verdict, calls, compiler, .. } = replayed;
    report.skill = recording.skill().to_string();
    report.cache = Some("off".into());
    report.init_log = recording.init_log().to_vec();
    report.result = result.map_err(Problem::Skill);
    let printed = if args.json {
        let mut object = report.json();
        object["replay"] = json!({ "verdict": verdict.to_string(), "compiler": compiler.name(), "host_calls": calls });
        print::json(&object)
    } else {
        // That the recording has no answer is not the skill's error, and the verdict says it.
        let left = matches!(&report.result, Err(Problem::Skill(error)) if UNANSWERED.contains(&error.code()));
        let shown = if left { print::state(&report) } else { print::report(&report) };
        let stopped = matches!(verdict, Verdict::StoppedBefore { .. });
        eprint!("{}", if args.until.is_some() { called(&recording, calls, stopped) } else { String::new() });
        eprint!("{}", compared(&verdict, &format!(" (on {}, {calls} host calls answered)", compiler.name())));
        shown
    };
    match (printed, verdict) {
        (Ok(()), Verdict::Different { .. }) | (Err(_), _) => ExitCode::FAILURE,
        (Ok(()), _) => ExitCode::SUCCESS,
    }
}

/// The codes of a run that asked for what the recording does not have.
const UNANSWERED: [&str; 2] = ["diverged", "not_journalled"];

/// How a replay compares with its recording, a line for each difference.
fn compared(verdict: &Verdict, on: &str) -> String {
    let (how, differences) = match verdict {
        Verdict::Different { differences } => ("not as recorded", differences.as_slice()),
        Verdict::Edited { differences } if !differences.is_empty() => ("with the edited reply", differences.as_slice()),
        other => return format!("replay: {other}{on}\n"),
    };
    let differences = differences.iter().map(|difference| format!("  {}\n", harmless(difference)));
    format!("replay: {how}{on}\n{}", differences.collect::<String>())
}

fn replayed(args: &ReplayArgs) -> Result<(Recording, Replayed), Problem> {
    let recording = Recording::read(&args.recording)?;
    let mut replay = Replay::new();
    if let Some(compiler) = args.compiler {
        replay = replay.compiler(compiler);
    }
    if let Some(module) = &args.wasm {
        replay = replay.module(read(module, "replay").map_err(Problem::Caller)?);
    }
    if let Some(call) = args.until {
        replay = replay.until(call);
    }
    for Edit { call, reply } in &args.edit {
        replay = replay.edit(*call, self::reply(reply).map_err(Problem::Caller)?);
    }
    let replayed = recording.replay(&replay)?;
    Ok((recording, replayed))
}

/// A reply as the command line writes it: `!status`, `@file`, or a text.
fn reply(text: &str) -> Result<HostReply, String> {
    if let Some(name) = text.strip_prefix('!') {
        let status = Status::ALL.into_iter().find(|status| status.name() == name);
        return status.map(HostReply::Status).ok_or_else(|| {
            let names: Vec<&str> = Status::ALL.into_iter().map(Status::name).collect();
            format!("--edit: there is no status `{name}`; there are: {}", names.join(", "))
        });
    }
    match text.strip_prefix('@') {
        Some(path) => {
            fs::read(path).map(|bytes| HostReply::Bytes(bytes.into())).map_err(|error| format!("{path}: {error}"))
        }
        None => Ok(HostReply::Bytes(text.to_owned().into())),
    }
}

/// The calls up to where a run was stopped, one a line.
fn called(recording: &Recording, calls: usize, stopped: bool) -> String {
    let mut out = String::new();
    let entries = recording.calls().iter().zip(recording.times()).enumerate();
    let mut refused = recording.refused().iter().peekable();
    for (index, (entry, time)) in entries.take(calls + usize::from(stopped)) {
        while let Some(refused) = refused.next_if(|refused| refused.before <= index) {
            let (name, status, why) = (refused.call, refused.status.name(), harmless(&refused.message));
            let _ = writeln!(out, "{:>4}  fuel {:>12}  {name}: {status}: {why}", "-", refused.fuel);
        }
        let answer = if index < calls { format!(" -> {}", answer(entry)) } else { "   <- stopped here".into() };
        // A String takes whatever is written to it.
        let _ = writeln!(out, "{index:>4}  fuel {:>12}  {}{answer}", time.fuel, call(entry));
    }
    out
}

/// A call in one line.
fn call(entry: &JournalEntry) -> String {
    let arguments = entry.call.arguments().map(|(name, bytes)| format!("{name} {}", excerpt(bytes)));
    format!("{}({})", entry.call.name(), arguments.collect::<Vec<_>>().join(", "))
}

/// An answer in one line.
fn answer(entry: &JournalEntry) -> String {
    match &entry.answer {
        Answer::Replied(HostReply::Bytes(bytes)) => excerpt(bytes),
        Answer::Replied(HostReply::Status(status)) => status.name().into(),
        Answer::Refused { status, message } => format!("{}: {}", status.name(), harmless(message)),
        Answer::Exhausted { resource, .. } => format!("the event ended: out of {}", resource.name()),
        Answer::Unanswered => "no answer: the event was stopped".into(),
    }
}

/// The beginning of some bytes as text, in quotes.
fn excerpt(bytes: &[u8]) -> String {
    const MOST: usize = 60;
    let text = String::from_utf8_lossy(&bytes[..bytes.len().min(MOST)]);
    format!("{text:?}{}", if bytes.len() > MOST { format!("… ({} bytes)", bytes.len()) } else { String::new() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reply_is_a_status_a_file_or_a_text() {
        assert_eq!(reply("!timed_out"), Ok(HostReply::Status(Status::TimedOut)));
        assert_eq!(reply("hello=!"), Ok(HostReply::Bytes("hello=!".into())));
        assert!(reply("!late").unwrap_err().contains("there are: ok, not_found"));
        assert!(reply("@no/such/file").unwrap_err().starts_with("no/such/file: "));
    }
}
