//! `trace`: a recorded event on a time axis, as one HTML page.

mod axis;
mod page;
mod text;

use std::fs;
use std::process::ExitCode;

use cis_skill::recording::Recording;

use crate::cli::TraceArgs;
use crate::print::harmless;

/// Draws a recording. Says so, and fails, when it cannot be read or the page cannot be written.
pub(crate) fn trace(args: &TraceArgs) -> ExitCode {
    let drawn = Recording::read(&args.recording).map_err(|error| error.to_string()).and_then(|recording| {
        let page = page::of(&recording);
        fs::write(&args.html, page).map_err(|error| format!("{}: {error}", args.html.display()))
    });
    match drawn {
        Ok(()) => {
            eprintln!("{}: open it in a browser", args.html.display());
            ExitCode::SUCCESS
        }
        Err(message) => {
            eprintln!("error: {}", harmless(&message));
            ExitCode::FAILURE
        }
    }
}
