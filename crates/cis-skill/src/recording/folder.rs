//! A folder of recordings as a test.

use std::path::{Path, PathBuf};

use cis_wasm_runtime::Compiler;

use super::{Recording, Replay, Verdict};

/// Replays every recording (`*.cisrec`) of a folder on every compiler of this build, and panics unless all of them end as
/// they were recorded. To be called in a `#[test]`.
///
/// With a module, it is tried in place of the recorded ones: does it still ask and answer the same?
///
/// # Panics
///
/// When a recording differs or cannot be read, naming it and the first host call that differs; and when there is none.
///
/// ```no_run
/// #[test]
/// fn recordings_replay() {
///     cis_skill::recording::replay_folder("tests/recordings", None);
/// }
/// ```
#[track_caller]
pub fn replay_folder(folder: impl AsRef<Path>, module: Option<&[u8]>) {
    let folder = folder.as_ref();
    let files = recordings(folder);
    assert!(!files.is_empty(), "there is no recording (*.cisrec) in {}", folder.display());
    let mut differ = Vec::new();
    for file in &files {
        for compiler in Compiler::ALL {
            let mut replay = Replay::new().compiler(*compiler);
            if let Some(module) = module {
                replay = replay.module(module.to_vec());
            }
            let what = match Recording::read(file).and_then(|recording| recording.replay(&replay)) {
                Ok(replayed) => match replayed.verdict {
                    Verdict::Same | Verdict::SameUntilStopped => continue,
                    verdict => verdict.to_string(),
                },
                Err(error) => error.to_string(),
            };
            differ.push(format!("{} on {}: {what}", file.display(), compiler.name()));
        }
    }
    assert!(differ.is_empty(), "{} of {} recordings differ:\n{}", differ.len(), files.len(), differ.join("\n"));
}

fn recordings(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
    let mut files: Vec<PathBuf> = paths.filter(|path| path.extension().is_some_and(|end| end == "cisrec")).collect();
    files.sort();
    files
}
