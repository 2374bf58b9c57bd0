//! A recorded run is answered again without any backend, and a run that differs is told apart.

mod support;

use std::sync::Arc;

use bytes::Bytes;
use cis_wasm_abi::{Level, Status};
use cis_wasm_host::{
    AiReply, CallContext, Fault, Grants, Host, HostCall, HostError, HostReply, InMemory, Journal, JournalEntry,
};
use support::backends::{Ai, Asked};
use support::{block_on, event};

fn run() -> Vec<HostCall> {
    vec![
        HostCall::MemorySet { key: "k".into(), value: Bytes::from_static(b"v") },
        HostCall::MemoryGet { key: "k".into() },
        HostCall::MemoryGet { key: "".into() },
        HostCall::AiChat { prompt: "why".into() },
        HostCall::Log { level: Level::Info, message: "done".into() },
        HostCall::MemoryDelete { key: "other".into() },
    ]
}

fn recorded() -> Vec<JournalEntry> {
    let host = Host::builder()
        .memory(InMemory::new())
        .ai(Ai {
            asked: Asked::default(),
            answer: |_| Ok(AiReply { text: "because".into(), prompt_tokens: 1, reply_tokens: 1 }),
        })
        .build();
    let mut event = event("skill", Grants { ai: true, ..Grants::default() });
    event.journal = Journal::Record(Vec::new());
    for call in run() {
        block_on(host.call(&mut event, call)).unwrap();
    }
    let Journal::Record(entries) = event.journal else { panic!("a journal stays what it is") };
    entries
}

fn replaying() -> CallContext {
    let mut event = event("skill", Grants { ai: true, ..Grants::default() });
    event.journal = Journal::Replay { entries: Arc::from(recorded()), next: 0 };
    event
}

#[test]
fn a_recording_holds_every_call_with_its_reply() {
    let entries = recorded();
    assert!(entries.iter().map(|entry| &entry.call).eq(&run()));
    let replies: Vec<_> = entries.into_iter().map(|entry| entry.reply).collect();
    assert_eq!(
        replies,
        [
            HostReply::OK,
            HostReply::Bytes("v".into()),
            HostReply::Status(Status::InvalidArgument),
            HostReply::Bytes("because".into()),
            HostReply::OK,
            HostReply::Status(Status::NotFound),
        ]
    );
}

#[test]
fn a_replay_gives_the_same_replies_without_a_backend() {
    let host = Host::builder().build();
    let mut event = replaying();
    for entry in recorded() {
        assert_eq!(block_on(host.call(&mut event, entry.call)).unwrap(), entry.reply);
    }
}

#[test]
fn a_run_that_differs_ends() {
    let host = Host::builder().build();
    let other = |index: usize| match &run()[index] {
        HostCall::MemorySet { key, .. } => HostCall::MemorySet { key: key.clone(), value: Bytes::from_static(b"w") },
        _ => HostCall::ConfigGet { key: "k".into() },
    };
    for differs in 0..run().len() {
        let mut event = replaying();
        for call in &run()[..differs] {
            block_on(host.call(&mut event, call.clone())).unwrap();
        }
        let error = block_on(host.call(&mut event, other(differs))).unwrap_err();
        assert_eq!(error.fault(), Fault::Bug);
        assert!(matches!(error, HostError::Diverged { index, .. } if index == differs), "{error}");
    }
}

#[test]
fn a_run_that_goes_on_after_the_recording_ends() {
    let host = Host::builder().build();
    let mut event = replaying();
    for call in run() {
        block_on(host.call(&mut event, call)).unwrap();
    }
    let error = block_on(host.call(&mut event, HostCall::MemoryGet { key: "k".into() })).unwrap_err();
    assert!(
        matches!(&error, HostError::Diverged { index: 6, recorded, .. } if recorded == "no further call"),
        "{error}"
    );
}
