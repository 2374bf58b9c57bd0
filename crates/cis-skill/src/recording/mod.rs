//! One event, kept whole: to be replayed at a desk, and to be a test.
//!
//! A recording holds the module, the event, what the host answered, and what came of it. Replaying it needs no backend and
//! gives the same response, log and receipt on every compiler. Its format stands in `docs/journal.md`.
//!
//! Invariant: no secret of the host that an event was recorded on is in its recording.

mod ending;
mod file;
mod folder;
pub(crate) mod recorder;
mod replay;

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use cis_wasm_host::{CallTrace, JournalEntry, LogLine, RefusedCall, Rest};

pub use ending::{Ending, Failure};
pub use folder::replay_folder;
pub use recorder::Recorder;
pub use replay::{Replay, Replayed, Verdict};

use crate::{ErrorKind, Event, Result, SkillLimits, SkillName, State};

/// One event of a wasm skill, with everything that is needed to run it again.
///
/// ```
/// use cis_skill::recording::{Recorder, Recording, Replay, Verdict};
/// use cis_skill::{Event, InMemory, LoadOptions, SkillManager};
///
/// # let wasm_bytes = wat::parse_str(r#"(module (memory (export "memory") 1) (data (i32.const 16) "hello")
/// #     (func (export "skill_on_event") (param i32 i32 i32 i32) (result i64)
/// #         (i64.or (i64.shl (i64.const 16) (i64.const 32)) (i64.const 5))))"#)?;
/// let manager = SkillManager::new(InMemory::new())?;
/// manager.load_wasm("greeter", &wasm_bytes, LoadOptions::default().recordable(true))?;
///
/// let recorder = Recorder::new();
/// manager.send_event_blocking("greeter", Event::tick(0).recorded_by(&recorder))?;
/// let recording = recorder.take().pop().expect("one event, one recording")?;
///
/// // Elsewhere, later: no manager, no backend.
/// let recording = Recording::from_bytes(recording.to_bytes())?;
/// let replayed = recording.replay(&Replay::new())?;
/// assert_eq!(replayed.verdict, Verdict::Same);
/// assert_eq!(replayed.result?.text()?, "hello");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Recording {
    inner: Arc<Parts>,
}

/// What a recording holds.
#[derive(Debug)]
struct Parts {
    skill: SkillName,
    /// The name of the compiler it ran on.
    compiler: String,
    state: State,
    /// The manifest as it held: narrowed, defaults written out. For people.
    manifest: String,
    limits: SkillLimits,
    config: serde_json::Map<String, serde_json::Value>,
    module: Bytes,
    event: Event,
    init: Arc<[JournalEntry]>,
    init_log: Vec<LogLine>,
    calls: Arc<[JournalEntry]>,
    times: Vec<CallTrace>,
    refused: Vec<RefusedCall>,
    rests: Vec<Rest>,
    ending: Ending,
    wall_us: u64,
}

impl Recording {
    /// Reads a recording from a file.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::BadRecording`] when it cannot be read, or is none.
    pub fn read(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let bytes = std::fs::read(path).map_err(|error| bad(format!("{}: {error}", path.display())))?;
        Recording::from_bytes(bytes.into()).map_err(|error| match error.kind() {
            ErrorKind::BadRecording { message } => bad(format!("{}: {message}", path.display())),
            _ => error,
        })
    }

    /// Writes the recording to a file.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::BadRecording`] when the file cannot be written.
    pub fn write(&self, path: impl AsRef<Path>) -> Result<()> {
        let path = path.as_ref();
        std::fs::write(path, self.to_bytes()).map_err(|error| bad(format!("{}: {error}", path.display())))
    }

    /// The bytes of a recording, read. They may come from anywhere.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::BadRecording`] when they are none.
    pub fn from_bytes(bytes: Bytes) -> Result<Self> {
        Ok(Recording { inner: Arc::new(file::read(bytes)?) })
    }

    /// The recording as bytes.
    pub fn to_bytes(&self) -> Bytes {
        file::write(&self.inner).into()
    }

    /// What the skill was called.
    pub fn skill(&self) -> &SkillName {
        &self.inner.skill
    }

    /// The manifest as it held when the event ran: narrowed by whoever loaded the skill, defaults written out.
    pub fn manifest(&self) -> &str {
        &self.inner.manifest
    }

    /// The name of the compiler that the event ran on.
    pub fn compiler(&self) -> &str {
        &self.inner.compiler
    }

    /// The module.
    pub fn module(&self) -> &Bytes {
        &self.inner.module
    }

    /// The event.
    pub fn event(&self) -> &Event {
        &self.inner.event
    }

    /// What `skill_init` asked the host and was answered.
    pub fn init_calls(&self) -> &[JournalEntry] {
        &self.inner.init
    }

    /// What the skill logged while it was loaded.
    pub fn init_log(&self) -> &[LogLine] {
        &self.inner.init_log
    }

    /// What the event asked the host and was answered.
    pub fn calls(&self) -> &[JournalEntry] {
        &self.inner.calls
    }

    /// When each of the calls was made and answered. As many as there are calls.
    pub fn times(&self) -> &[CallTrace] {
        &self.inner.times
    }

    /// The calls that were refused for arguments that could not be read, in order. They are not among the
    /// [`calls`](Self::calls): a replay makes them again, and has them refused again.
    pub fn refused(&self) -> &[RefusedCall] {
        &self.inner.refused
    }

    /// When the event was put down while a call waited.
    pub fn rests(&self) -> &[Rest] {
        &self.inner.rests
    }

    /// What came of the event.
    pub fn ending(&self) -> &Ending {
        &self.inner.ending
    }

    /// How long the event took, in microseconds.
    pub fn wall_us(&self) -> u64 {
        self.inner.wall_us
    }

    /// Runs the event again, without any backend.
    ///
    /// # Errors
    ///
    /// When nothing could be run: a module does not load, its `skill_init` is not the recorded one, or an edit makes no
    /// sense. How the run compares with the recording is told by [`Replayed::verdict`].
    pub fn replay(&self, replay: &Replay) -> Result<Replayed> {
        replay::replay(&self.inner, replay)
    }
}

fn bad(message: impl Into<String>) -> crate::Error {
    ErrorKind::BadRecording { message: message.into() }.into()
}
