//! Journals and recordings: what was written is read again, and bytes from anywhere are an error at worst.

use arbitrary::{Arbitrary, Result, Unstructured};
use bytes::Bytes;
use cis_skill::recording::Recording;
use cis_wasm_abi::{Level, Status};
use cis_wasm_host::{Answer, Charge, HostCall, HostReply, JournalEntry, Resource, decode_journal, encode_journal};

use crate::tally::Tally;

/// The most bytes of an entry beside what its call and answer carried.
const MOST_OVERHEAD: u64 = 48;

/// Reads bytes as a journal and as a recording, and writes and reads a journal that is made from them. Counts what could
/// be read.
///
/// # Panics
///
/// When reading does not undo writing, a journal carries more than its bytes, or an entry costs more than a few.
pub fn journal(data: &[u8]) -> Tally {
    let mut tally = Tally::default();
    if let Ok(entries) = decode_journal([b"CISJ\x01", data].concat().into()) {
        let carried: u64 = entries.iter().map(carried).sum();
        assert!(carried <= data.len() as u64, "{carried} bytes out of {}", data.len());
        undone(&entries);
        tally.count("read_as_journal");
    }
    if let Ok(recording) = Recording::from_bytes([b"CISR\x01", data].concat().into()) {
        let written = recording.to_bytes();
        let again = Recording::from_bytes(written.clone()).expect("what was written can be read");
        assert_eq!(again.to_bytes(), written);
        tally.count("read_as_recording");
    }
    let mut unstructured = Unstructured::new(data);
    let mut entries = Vec::new();
    // An error means no more than that the bytes were used up.
    while let Ok(entry) = entry(&mut unstructured) {
        entries.push(entry);
        if unstructured.is_empty() {
            break;
        }
    }
    if !entries.is_empty() {
        let bytes = undone(&entries);
        let most: u64 = entries.iter().map(|entry| carried(entry) + MOST_OVERHEAD).sum();
        assert!(bytes <= most, "{bytes} bytes for {entries:?}");
        tally.count("written");
    }
    tally
}

/// Checks that entries are read as they were written, and says in how many bytes.
#[track_caller]
fn undone(entries: &[JournalEntry]) -> u64 {
    let written = encode_journal(entries);
    let len = written.len() as u64;
    assert_eq!(decode_journal(written.into()).expect("what was written can be read"), entries);
    len
}

/// What passed between guest and host.
fn carried(entry: &JournalEntry) -> u64 {
    let answered = match &entry.answer {
        Answer::Replied(reply) => reply.bytes(),
        Answer::Refused { message, .. } => message.len() as u64,
        Answer::Exhausted { .. } | Answer::Unanswered => 0,
    };
    entry.call.bytes() + answered
}

fn entry(u: &mut Unstructured<'_>) -> Result<JournalEntry> {
    let call = match u.int_in_range(0..=8)? {
        0 => HostCall::AiChat { prompt: u.arbitrary()? },
        1 => HostCall::ConfigGet { key: u.arbitrary()? },
        2 => HostCall::HttpPost { url: u.arbitrary()?, body: blob(u)? },
        3 => HostCall::Log { level: *u.choose(&Level::ALL)?, message: u.arbitrary()? },
        4 => HostCall::MemoryDelete { key: u.arbitrary()? },
        5 => HostCall::MemoryGet { key: u.arbitrary()? },
        6 => HostCall::MemoryList { prefix: u.arbitrary()? },
        7 => HostCall::MemorySet { key: u.arbitrary()?, value: blob(u)? },
        _ => HostCall::SetError { message: u.arbitrary()? },
    };
    let answer = match u.int_in_range(0..=4)? {
        0 => Answer::Replied(HostReply::Bytes(blob(u)?)),
        1 => Answer::Replied(HostReply::Status(*u.choose(&Status::ALL)?)),
        2 => Answer::Refused { status: *u.choose(&Status::ALL)?, message: u.arbitrary()? },
        3 => Answer::Exhausted { resource: *u.choose(&Resource::ALL)?, wanted: u.arbitrary()? },
        _ => Answer::Unanswered,
    };
    let pays = !matches!(
        call,
        HostCall::ConfigGet { .. }
            | HostCall::MemoryGet { .. }
            | HostCall::MemoryList { .. }
            | HostCall::SetError { .. }
    );
    let charge = if pays { Charge { count: u.arbitrary()?, amount: u.arbitrary()? } } else { Charge::default() };
    Ok(JournalEntry { call, answer, charge })
}

fn blob(u: &mut Unstructured<'_>) -> Result<Bytes> {
    Ok(Vec::<u8>::arbitrary(u)?.into())
}
