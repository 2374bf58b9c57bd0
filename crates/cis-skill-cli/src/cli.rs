//! The command line.

use std::path::PathBuf;

use cis_skill::Compiler;
use clap::{Args, Parser, Subcommand};
use serde_json::Value as Json;

/// Runs and inspects CIS skills.
#[derive(Parser)]
#[command(name = "cis-skill", version, disable_help_subcommand = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Shows what a skill is, what it may do and what it imports, without running it.
    Inspect(InspectArgs),
    /// Runs a recorded event again, without any backend, and compares what comes of it with the recording.
    ///
    /// The response goes to stdout; the log, what the event used and how it compares go to stderr. The exit code is 1 when
    /// it is not as recorded. Host calls are numbered from 0.
    Replay(ReplayArgs),
    /// Sends a skill one event and prints its response.
    ///
    /// The response goes to stdout; the skill's log and what the event used go to stderr. The exit code is 0 for a
    /// response and 1 for an error.
    Run(Box<RunArgs>),
    /// Draws a recorded event on a time axis, as one HTML page that needs nothing else.
    Trace(TraceArgs),
}

#[derive(Args)]
pub(crate) struct InspectArgs {
    /// The skill: a .wasm file.
    pub(crate) skill: PathBuf,
    /// Prints one JSON object.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Args)]
pub(crate) struct ReplayArgs {
    /// The recording: what `run --record` wrote.
    pub(crate) recording: PathBuf,
    /// The compiler. Without it, the one it was recorded on.
    #[arg(long, value_name = "NAME", value_parser = Compiler::from_name)]
    pub(crate) compiler: Option<Compiler>,
    /// A module to try in place of the recorded one: does it still ask and answer the same?
    #[arg(long, value_name = "PATH")]
    pub(crate) wasm: Option<PathBuf>,
    /// Stops before the host call of this number, and shows the calls up to there.
    #[arg(long, value_name = "N")]
    pub(crate) until: Option<usize>,
    /// Answers the host call of this number with something else: a text, `@FILE`, or `!STATUS` (!timed_out, for one). May
    /// be repeated. The run goes on for as long as the recording has an answer to what it asks.
    #[arg(long, value_name = "CALL=REPLY", value_parser = edit)]
    pub(crate) edit: Vec<Edit>,
    /// Prints one JSON object on stdout: that of `run --json`, and how it compares.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Another reply to a host call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Edit {
    pub(crate) call: usize,
    /// As the command line has it.
    pub(crate) reply: String,
}

#[derive(Args)]
pub(crate) struct TraceArgs {
    /// The recording: what `run --record` wrote.
    pub(crate) recording: PathBuf,
    /// The page.
    #[arg(long, value_name = "OUT")]
    pub(crate) html: PathBuf,
}

#[derive(Args)]
pub(crate) struct RunArgs {
    /// The skill: a .wasm file.
    pub(crate) skill: PathBuf,
    /// The event's type.
    #[arg(long, value_name = "TYPE")]
    pub(crate) event: String,
    /// The event's data, as JSON. Nothing where it is left out.
    #[arg(long, value_name = "JSON", value_parser = json_text)]
    pub(crate) data: Option<String>,
    /// Where the skill's memory is kept, in the file memory.redb.
    #[arg(long, value_name = "DIR", default_value = ".cis-data")]
    pub(crate) data_dir: PathBuf,
    /// Where the skill's machine code is kept from one run to the next. DATA_DIR/artifacts where it is left out.
    ///
    /// Nobody but you may write there: machine code is run as it is.
    #[arg(long, value_name = "DIR")]
    pub(crate) cache: Option<PathBuf>,
    /// Compiles the skill, and keeps nothing of that.
    #[arg(long, conflicts_with = "cache")]
    pub(crate) no_cache: bool,
    /// The compiler.
    #[arg(long, value_name = "NAME", default_value = "cranelift", value_parser = Compiler::from_name)]
    pub(crate) compiler: Compiler,
    /// The most linear memory, in MiB. The manifest's own limit holds where it is lower.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=4096))]
    pub(crate) memory_mib: Option<u64>,
    /// The most time, in milliseconds. The manifest's own limit holds where it is lower.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) deadline_ms: Option<u64>,
    /// The most fuel, in instructions. The manifest's own limit holds where it is lower.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) fuel: Option<u64>,
    /// A host[:port] that may be reached although its address is private, 127.0.0.1:8080 for one. May be repeated.
    ///
    /// The skill's manifest has to allow the host too.
    #[arg(long, value_name = "HOST")]
    pub(crate) allow_http: Vec<String>,
    /// An OpenAI-compatible endpoint: what stands before /chat/completions.
    ///
    /// Its key, if it needs one, is read from the environment variable CIS_AI_KEY.
    #[arg(long, value_name = "URL", requires = "ai_model")]
    pub(crate) ai_url: Option<String>,
    /// The model to ask for.
    #[arg(long, value_name = "M", requires = "ai_url")]
    pub(crate) ai_model: Option<String>,
    /// A secret that the manifest names. Its value is read from the environment variable of the same name. May be
    /// repeated.
    #[arg(long, value_name = "NAME")]
    pub(crate) secret: Vec<String>,
    /// The value of one of the skill's settings. Text that is not JSON is a string. May be repeated.
    #[arg(long, value_name = "KEY=JSON", value_parser = setting)]
    pub(crate) config: Vec<(String, Json)>,
    /// Writes a recording of the event to this file: for `replay` and `trace`, and for tests.
    #[arg(long, value_name = "FILE")]
    pub(crate) record: Option<PathBuf>,
    /// Prints one JSON object on stdout, with the response or the error, the log and the usage in it.
    #[arg(long)]
    pub(crate) json: bool,
}

fn edit(text: &str) -> Result<Edit, String> {
    let parts = text.split_once('=').and_then(|(call, reply)| Some((call.parse().ok()?, reply)));
    let (call, reply) = parts.ok_or("write it as CALL=REPLY, with the number of the host call")?;
    Ok(Edit { call, reply: reply.to_owned() })
}

fn json_text(text: &str) -> Result<String, String> {
    match serde_json::from_str::<serde::de::IgnoredAny>(text) {
        Ok(_) => Ok(text.to_owned()),
        Err(error) => Err(format!("this is not JSON: {error}; a string needs its quotes: '\"text\"'")),
    }
}

fn setting(text: &str) -> Result<(String, Json), String> {
    let (key, value) = text.split_once('=').ok_or("write it as KEY=JSON")?;
    let value = serde_json::from_str(value).unwrap_or_else(|_| Json::String(value.to_owned()));
    Ok((key.to_owned(), value))
}

/// What is wrong with a command line, on one line and without the usage.
pub(crate) fn in_short(error: &clap::Error) -> String {
    let text = error.render().to_string();
    let paragraphs = text.trim_start_matches("error: ").split("\n\n").map(|part| {
        let lines = part.lines().map(str::trim).filter(|line| !line.is_empty());
        lines.collect::<Vec<_>>().join(" ")
    });
    let told = paragraphs.filter(|part| !part.starts_with("Usage:") && !part.starts_with("For more information"));
    told.collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn what_is_wrong_fits_on_one_line() {
        let short = |words: &[&str]| in_short(&Cli::try_parse_from(words).err().expect("it makes no sense"));
        assert_eq!(
            short(&["cis-skill", "run", "x.wasm", "--evnt", "tick"]),
            "unexpected argument '--evnt' found; tip: a similar argument exists: '--event'"
        );
        assert_eq!(
            short(&["cis-skill", "run", "x.wasm"]),
            "the following required arguments were not provided: --event <TYPE>"
        );
    }
}
