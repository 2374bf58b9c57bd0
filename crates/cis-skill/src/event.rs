//! What a skill is sent.

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use cis_wasm_abi::{EVENT_INIT, EVENT_MEMORY_CHANGE, EVENT_TICK};
use cis_wasm_host::Journal;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::json;

use crate::recording::Recorder;
use crate::{ErrorKind, Result};

/// Something that happened: a type, and data that skills of that type understand. Cheap to clone.
///
/// ```
/// use cis_skill::Event;
///
/// let event = Event::custom("note.add", &serde_json::json!({ "text": "buy milk" }))?;
/// assert_eq!(event.event_type(), "note.add");
///
/// #[derive(serde::Deserialize)]
/// struct Note { text: String }
/// assert_eq!(event.json::<Note>()?.text, "buy milk");
/// # Ok::<(), cis_skill::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Event {
    event_type: String,
    data: Bytes,
    recorder: Option<Recorder>,
    journal: Option<JournalCell>,
}

/// The journal of a durable event: in it before the event runs, and again when it has ended.
pub(crate) type JournalCell = Arc<Mutex<Option<Journal>>>;

/// Two events are equal when they say the same, whoever records them.
impl PartialEq for Event {
    fn eq(&self, other: &Self) -> bool {
        (&self.event_type, &self.data) == (&other.event_type, &other.data)
    }
}

impl Eq for Event {}

/// What became of a memory key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Change {
    /// It is gone.
    Deleted,
    /// It has a new value.
    Set,
}

impl Event {
    /// An event of any type with any bytes. A skill refuses a type above [`EVENT_TYPE`](cis_wasm_abi::ceilings::EVENT_TYPE)
    /// bytes and data above [`EVENT_DATA`](cis_wasm_abi::ceilings::EVENT_DATA) bytes.
    pub fn new(event_type: impl Into<String>, data: impl Into<Bytes>) -> Self {
        Event { event_type: event_type.into(), data: data.into(), recorder: None, journal: None }
    }

    /// An event of any type with a value as JSON.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::BadEventJson`] when the value has no JSON (a map with keys that are no strings, for one).
    pub fn custom(event_type: impl Into<String>, data: &(impl Serialize + ?Sized)) -> Result<Self> {
        let data = serde_json::to_vec(data).map_err(|error| ErrorKind::BadEventJson { message: error.to_string() })?;
        Ok(Event::new(event_type, data))
    }

    /// Asks skills to prepare: an `init` event with the host's settings, by convention an object.
    ///
    /// # Errors
    ///
    /// As for [`Event::custom`].
    pub fn init(settings: &(impl Serialize + ?Sized)) -> Result<Self> {
        Event::custom(EVENT_INIT, settings)
    }

    /// A clock tick, at a time in milliseconds since the Unix epoch.
    pub fn tick(unix_ms: u64) -> Self {
        Event::new(EVENT_TICK, json!({ "unix_ms": unix_ms }).to_string())
    }

    /// A memory key changed.
    pub fn memory_change(key: &str, change: Change) -> Self {
        let change = match change {
            Change::Deleted => "deleted",
            Change::Set => "set",
        };
        Event::new(EVENT_MEMORY_CHANGE, json!({ "key": key, "change": change }).to_string())
    }

    /// The type.
    pub fn event_type(&self) -> &str {
        &self.event_type
    }

    /// The data.
    pub fn data(&self) -> &Bytes {
        &self.data
    }

    /// The same event, which a recorder is to get the recording of, however it is sent: to a [`WasmSkill`](crate::WasmSkill)
    /// or through a manager. See [`Recording`](crate::recording::Recording) for an example.
    #[must_use]
    pub fn recorded_by(mut self, recorder: &Recorder) -> Self {
        self.recorder = Some(recorder.clone());
        self
    }

    pub(crate) fn recorder(&self) -> Option<&Recorder> {
        self.recorder.as_ref()
    }

    /// The same event, run with a journal that its store keeps.
    pub(crate) fn journalled(mut self, journal: &JournalCell) -> Self {
        self.journal = Some(journal.clone());
        self
    }

    pub(crate) fn journal(&self) -> Option<&JournalCell> {
        self.journal.as_ref()
    }

    pub(crate) fn unrecorded(mut self) -> Self {
        self.recorder = None;
        self.journal = None;
        self
    }

    /// The data, read as JSON.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::BadEventJson`] when it is not JSON, or not that of a `T`.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T> {
        let parsed = serde_json::from_slice(&self.data);
        parsed.map_err(|error| ErrorKind::BadEventJson { message: error.to_string() }.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_events_of_the_contract_have_its_types_and_fields() {
        let tick = Event::tick(1_700_000_000_000);
        assert_eq!((tick.event_type(), &tick.data()[..]), ("tick", &br#"{"unix_ms":1700000000000}"#[..]));

        let change = Event::memory_change("a\"b", Change::Deleted);
        assert_eq!(change.event_type(), "memory.change");
        assert_eq!(change.json::<serde_json::Value>().unwrap(), json!({ "key": "a\"b", "change": "deleted" }));

        let init = Event::init(&json!({ "lang": "en" })).unwrap();
        assert_eq!((init.event_type(), &init.data()[..]), ("init", &br#"{"lang":"en"}"#[..]));
    }

    #[test]
    fn what_is_no_json_is_a_typed_error() {
        let error = Event::new("x", "{").json::<serde_json::Value>().unwrap_err();
        assert_eq!(error.code(), "bad_event_json");
        let no_json = std::collections::BTreeMap::from([((1, 2), 3)]);
        assert_eq!(Event::custom("x", &no_json).unwrap_err().code(), "bad_event_json");
    }
}
