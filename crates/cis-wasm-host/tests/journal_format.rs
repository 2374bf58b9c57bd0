//! The journal as bytes: what `docs/journal.md` says, there and back, and never more than an error for bytes from anywhere.

use bytes::Bytes;
use cis_wasm_abi::{Level, Status};
use cis_wasm_host::{
    Answer, Charge, HostCall, HostReply, JOURNAL_VERSION, JournalEntry, JournalError, Resource, decode_journal,
    encode_journal,
};

fn entry(call: HostCall, answer: Answer, count: u64, amount: u64) -> JournalEntry {
    JournalEntry { call, answer, charge: Charge { count, amount } }
}

/// Every kind of call, and every kind of answer.
fn entries() -> Vec<JournalEntry> {
    let ok = || Answer::Replied(HostReply::OK);
    let bytes = |text: &'static str| Answer::Replied(HostReply::Bytes(text.into()));
    let refused = |message: &str| Answer::Refused { status: Status::UpstreamError, message: message.into() };
    vec![
        entry(HostCall::MemoryGet { key: "k".into() }, bytes("v"), 0, 0),
        entry(HostCall::MemorySet { key: "k".into(), value: "vv".into() }, ok(), 1, 3),
        entry(HostCall::MemoryDelete { key: "k".into() }, Answer::Replied(HostReply::Status(Status::NotFound)), 1, 0),
        entry(HostCall::MemoryList { prefix: "".into() }, bytes(""), 0, 0),
        entry(HostCall::AiChat { prompt: "why?".into() }, bytes("because"), 1, 300),
        entry(HostCall::HttpPost { url: "https://a.b/".into(), body: "x".into() }, refused("503"), 2, 1 << 40),
        entry(HostCall::Log { level: Level::Warn, message: "é".into() }, ok(), 1, 2),
        entry(HostCall::ConfigGet { key: "lang".into() }, ok(), 0, 0),
        entry(HostCall::SetError { message: "no".into() }, ok(), 0, 0),
        entry(
            HostCall::AiChat { prompt: "".into() },
            Answer::Exhausted { resource: Resource::AiTokens, wanted: u64::MAX },
            1,
            0,
        ),
        entry(HostCall::AiChat { prompt: "and?".into() }, Answer::Unanswered, 1, 4),
    ]
}

#[test]
fn it_is_what_the_document_says() {
    let entry = &entries()[4..5];
    let hex: String = encode_journal(entry).iter().map(|byte| format!("{byte:02X} ")).collect();
    let document = include_str!("../../../docs/journal.md");
    assert!(document.contains(hex.trim_end()), "the document does not show {hex}");
    for (name, number) in [("MemoryGet", 1), ("SetError", 9)] {
        // The first byte behind the header is the call's.
        let entry = entries().into_iter().find(|entry| format!("{:?}", entry.call).starts_with(name)).unwrap();
        assert_eq!(encode_journal(&[entry])[5], number);
    }
    for (number, resource) in Resource::ALL.into_iter().enumerate() {
        assert!(document.contains(&format!("| {number} | `{}` |", resource.name())), "{}", resource.name());
    }
}

#[test]
fn it_reads_back_what_was_written() {
    let bytes = encode_journal(&entries());
    assert_eq!(decode_journal(bytes.into()).unwrap(), entries());
    assert_eq!(decode_journal(encode_journal(&[]).into()).unwrap(), []);

    let mut bytes = Vec::new();
    entries().iter().for_each(|entry| entry.encode(&mut bytes));
    let mut rest = Bytes::from(bytes);
    for entry in entries() {
        assert_eq!(JournalEntry::decode(&mut rest).unwrap(), entry);
    }
    assert!(rest.is_empty());
}

#[test]
fn a_call_costs_a_few_bytes_beside_what_it_carried() {
    for entry in entries() {
        let carried = entry.call.bytes()
            + match &entry.answer {
                Answer::Replied(reply) => reply.bytes(),
                Answer::Refused { message, .. } => message.len() as u64,
                _ => 0,
            };
        let mut bytes = Vec::new();
        entry.encode(&mut bytes);
        let more = bytes.len() as u64 - carried;
        assert!(more <= 16, "{more} bytes: {entry:?}");
    }
}

#[test]
fn a_newer_version_says_so() {
    let mut bytes = encode_journal(&entries());
    bytes[4] = JOURNAL_VERSION + 1;
    let error = decode_journal(bytes.into()).unwrap_err();
    assert_eq!(error, JournalError::TooNew { version: JOURNAL_VERSION + 1 });
    assert!(error.to_string().contains("use a newer one"), "{error}");
}

#[test]
fn cut_or_changed_anywhere_it_is_another_journal_or_an_error() {
    let whole = encode_journal(&entries());
    let mut errors = 0;
    for end in 0..whole.len() {
        let cut = decode_journal(Bytes::copy_from_slice(&whole[..end]));
        // Cut between two entries, it is a shorter journal; anywhere else it is none.
        assert!(cut.as_ref().map_or(true, |cut| entries().starts_with(cut) && cut.len() < entries().len()), "{end}");
        for changed in [0, 0x7F, 0x80, 0xFF] {
            let mut bytes = whole.clone();
            bytes[end] = changed;
            errors += usize::from(decode_journal(bytes.into()).is_err());
        }
    }
    assert!(errors > whole.len(), "{errors} errors");
}

#[test]
fn bytes_from_anywhere_are_read_within_their_own_size() {
    let mut random = fastrand::Rng::with_seed(5);
    let mut read = 0;
    for round in 0..50_000 {
        let mut bytes = b"CISJ\x01".to_vec();
        // Small numbers are kinds and lengths, so that more than the first byte is looked at.
        bytes.extend((0..random.usize(0..64)).map(|_| if random.bool() { random.u8(0..10) } else { random.u8(..) }));
        if round % 2 == 0 {
            bytes = encode_journal(&entries());
            for _ in 0..random.usize(1..4) {
                let at = random.usize(5..bytes.len());
                bytes.splice(at..at + random.usize(0..2), (0..random.usize(0..2)).map(|_| random.u8(..)));
            }
        }
        if let Ok(entries) = decode_journal(bytes.clone().into()) {
            read += usize::from(!entries.is_empty());
            let carried: u64 = entries.iter().map(|entry| entry.call.bytes()).sum();
            assert!(carried <= bytes.len() as u64);
            let again = encode_journal(&entries);
            assert_eq!(decode_journal(again.into()).unwrap(), entries);
        }
    }
    assert!(read > 100, "{read} of them were journals");
    // A length of 2^63 bytes, and one with more than 64 bits.
    for length in [&[0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x01][..], &[0xFF; 16]] {
        let bytes = [&b"CISJ\x01\x01"[..], length].concat();
        assert!(matches!(decode_journal(bytes.into()), Err(JournalError::Malformed { .. })));
    }
}
