//! The journal as bytes. `docs/journal.md` says the same byte by byte.

use bytes::Bytes;
use cis_wasm_abi::{Level, Status};

use super::bytes::{Reader, put_bytes, put_number};
use super::entry::{self, Answer, Charge, JournalEntry};
use crate::{HostCall, HostReply, Resource};

/// The version of the format that this crate writes. It reads this one and all before it.
pub const JOURNAL_VERSION: u8 = 1;

/// What a journal begins with, before its version.
const MAGIC: &[u8; 4] = b"CISJ";

/// Why bytes are not a journal.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum JournalError {
    /// Something in it is not as the format says.
    #[error("the journal is damaged: {what}, at byte {at}")]
    Malformed {
        /// Where.
        at: usize,
        /// What.
        what: &'static str,
    },
    /// It was written by a newer version of this crate.
    #[error(
        "the journal has version {version} of its format, and this program reads up to {JOURNAL_VERSION}; use a newer one"
    )]
    TooNew {
        /// Its version.
        version: u8,
    },
}

mod call {
    pub(super) const MEMORY_GET: u8 = 1;
    pub(super) const MEMORY_SET: u8 = 2;
    pub(super) const MEMORY_DELETE: u8 = 3;
    pub(super) const MEMORY_LIST: u8 = 4;
    pub(super) const AI_CHAT: u8 = 5;
    pub(super) const HTTP_POST: u8 = 6;
    pub(super) const LOG: u8 = 7;
    pub(super) const CONFIG_GET: u8 = 8;
    pub(super) const SET_ERROR: u8 = 9;
}

mod answer {
    pub(super) const STATUS: u8 = 0;
    pub(super) const BYTES: u8 = 1;
    pub(super) const REFUSED: u8 = 2;
    pub(super) const EXHAUSTED: u8 = 3;
    pub(super) const UNANSWERED: u8 = 4;
}

/// A journal as bytes: what its calls carried, and a few bytes a call.
pub fn encode_journal(entries: &[JournalEntry]) -> Vec<u8> {
    let mut out = MAGIC.to_vec();
    out.push(JOURNAL_VERSION);
    entries.iter().for_each(|entry| entry.encode(&mut out));
    out
}

/// The entries of a journal. Replies and bodies share the memory of `bytes`.
///
/// # Errors
///
/// Says what is wrong, and where. Bytes from anywhere will do: nothing is allocated for a length that they do not have.
pub fn decode_journal(mut bytes: Bytes) -> Result<Vec<JournalEntry>, JournalError> {
    let mut reader = Reader::new(&mut bytes);
    if reader.take(MAGIC.len() as u64)?[..] != MAGIC[..] {
        return Err(reader.wrong("it does not begin like a journal"));
    }
    let version = reader.byte()?;
    if version > JOURNAL_VERSION {
        return Err(JournalError::TooNew { version });
    }
    if version == 0 {
        return Err(reader.wrong("there is no version 0"));
    }
    let mut entries = Vec::new();
    while !reader.is_at_end() {
        entries.push(read_entry(&mut reader)?);
    }
    Ok(entries)
}

impl JournalEntry {
    /// Appends the entry as it stands in a journal of the version [`JOURNAL_VERSION`].
    pub fn encode(&self, out: &mut Vec<u8>) {
        write_call(&self.call, out);
        match &self.answer {
            Answer::Replied(HostReply::Status(status)) => out.extend([answer::STATUS, status_byte(*status)]),
            Answer::Replied(HostReply::Bytes(bytes)) => {
                out.push(answer::BYTES);
                put_bytes(out, bytes);
            }
            Answer::Refused { status, message } => {
                out.extend([answer::REFUSED, status_byte(*status)]);
                put_bytes(out, message.as_bytes());
            }
            Answer::Exhausted { resource, wanted } => {
                out.extend([answer::EXHAUSTED, *resource as u8]);
                put_number(out, *wanted);
            }
            Answer::Unanswered => out.push(answer::UNANSWERED),
        }
        if entry::resources(&self.call).is_some() {
            put_number(out, self.charge.count);
            put_number(out, self.charge.amount);
        }
    }

    /// Reads one entry that [`encode`](Self::encode) wrote, and leaves what stands behind it.
    ///
    /// # Errors
    ///
    /// As [`decode_journal`].
    pub fn decode(bytes: &mut Bytes) -> Result<Self, JournalError> {
        read_entry(&mut Reader::new(bytes))
    }
}

fn write_call(call: &HostCall, out: &mut Vec<u8>) {
    out.push(match call {
        HostCall::MemoryGet { .. } => call::MEMORY_GET,
        HostCall::MemorySet { .. } => call::MEMORY_SET,
        HostCall::MemoryDelete { .. } => call::MEMORY_DELETE,
        HostCall::MemoryList { .. } => call::MEMORY_LIST,
        HostCall::AiChat { .. } => call::AI_CHAT,
        HostCall::HttpPost { .. } => call::HTTP_POST,
        HostCall::Log { .. } => call::LOG,
        HostCall::ConfigGet { .. } => call::CONFIG_GET,
        HostCall::SetError { .. } => call::SET_ERROR,
    });
    if let HostCall::Log { level, .. } = call {
        out.push(*level as u8);
    }
    for (_, argument) in call.arguments() {
        put_bytes(out, argument);
    }
}

fn read_entry(reader: &mut Reader<'_>) -> Result<JournalEntry, JournalError> {
    let call = read_call(reader)?;
    let answer = match reader.byte()? {
        answer::STATUS => Answer::Replied(HostReply::Status(read_status(reader)?)),
        answer::BYTES => Answer::Replied(HostReply::Bytes(reader.bytes()?)),
        answer::REFUSED => Answer::Refused { status: read_status(reader)?, message: reader.text()? },
        answer::EXHAUSTED => Answer::Exhausted { resource: read_resource(reader)?, wanted: reader.number()? },
        answer::UNANSWERED => Answer::Unanswered,
        _ => return Err(reader.wrong("there is no such kind of answer")),
    };
    let charge = match entry::resources(&call) {
        Some(_) => Charge { count: reader.number()?, amount: reader.number()? },
        None => Charge::default(),
    };
    Ok(JournalEntry { call, answer, charge })
}

fn read_call(reader: &mut Reader<'_>) -> Result<HostCall, JournalError> {
    Ok(match reader.byte()? {
        call::MEMORY_GET => HostCall::MemoryGet { key: reader.text()? },
        call::MEMORY_SET => HostCall::MemorySet { key: reader.text()?, value: reader.bytes()? },
        call::MEMORY_DELETE => HostCall::MemoryDelete { key: reader.text()? },
        call::MEMORY_LIST => HostCall::MemoryList { prefix: reader.text()? },
        call::AI_CHAT => HostCall::AiChat { prompt: reader.text()? },
        call::HTTP_POST => HostCall::HttpPost { url: reader.text()?, body: reader.bytes()? },
        call::LOG => HostCall::Log { level: read_level(reader)?, message: reader.text()? },
        call::CONFIG_GET => HostCall::ConfigGet { key: reader.text()? },
        call::SET_ERROR => HostCall::SetError { message: reader.text()? },
        _ => return Err(reader.wrong("there is no such call")),
    })
}

/// A status in one byte, as two's complement.
fn status_byte(status: Status) -> u8 {
    status.code() as u8
}

const _: () = {
    let mut index = 0;
    while index < Status::ALL.len() {
        assert!(Status::ALL[index].code() == Status::ALL[index].code() as i8 as i32, "a status fits into a byte");
        index += 1;
    }
};

fn read_status(reader: &mut Reader<'_>) -> Result<Status, JournalError> {
    Status::from_code((reader.byte()? as i8).into()).ok_or_else(|| reader.wrong("there is no such status"))
}

fn read_level(reader: &mut Reader<'_>) -> Result<Level, JournalError> {
    let level = reader.byte()?;
    Level::ALL.get(usize::from(level)).copied().ok_or_else(|| reader.wrong("there is no such log level"))
}

fn read_resource(reader: &mut Reader<'_>) -> Result<Resource, JournalError> {
    let resource = reader.byte()?;
    Resource::ALL.get(usize::from(resource)).copied().ok_or_else(|| reader.wrong("there is no such resource"))
}
