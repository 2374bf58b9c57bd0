//! A run that is answered from a changed journal goes on for as long as the journal can answer it, and its trace says when
//! what happened.

mod support;

use std::sync::Arc;

use cis_wasm_abi::Level;
use cis_wasm_host::{
    Answer, CallContext, Grants, Host, HostCall, HostError, HostReply, InMemory, Journal, JournalEntry, Resource,
};
use support::{block_on, event, scope};

fn log(message: &str) -> HostCall {
    HostCall::Log { level: Level::Info, message: message.into() }
}

fn set(key: &str, value: &'static str) -> HostCall {
    HostCall::MemorySet { key: key.into(), value: value.into() }
}

fn get() -> HostCall {
    HostCall::MemoryGet { key: "k".into() }
}

fn run() -> Vec<HostCall> {
    vec![set("k", "one"), get(), log("it is one"), set("copy", "one"), log("done")]
}

fn recorded() -> Vec<JournalEntry> {
    let host = Host::builder().memory(InMemory::new()).build();
    let mut event = event("skill", Grants::default());
    event.journal = Journal::record();
    for call in run() {
        block_on(host.call(&mut event, call)).unwrap();
    }
    event.journal.into_entries()
}

/// Makes calls of a changed journal's run. What they were answered, and how the run differs.
#[track_caller]
fn check(calls: &[HostCall], expected: &[(usize, &str)]) -> (Vec<Result<HostReply, HostError>>, CallContext) {
    let mut event = CallContext::new(Arc::new(scope("skill", Grants::default())));
    let mut entries = recorded();
    entries[1].answer = Answer::Replied(HostReply::Bytes("two".into()));
    event.journal = Journal::what_if(entries);
    let replies = calls.iter().map(|call| block_on(Host::default().call(&mut event, call.clone()))).collect();
    let found: Vec<_> = event.journal.differences().iter().map(|(index, text)| (*index, text.as_str())).collect();
    assert_eq!(found, expected);
    (replies, event)
}

#[test]
fn what_needs_no_backend_and_other_values_go_on() {
    let calls = [set("k", "one"), get(), log("it is two"), set("copy", "twelve"), log("done")];
    let (replies, event) = check(
        &calls,
        &[
            (
                2,
                "host_log with another message (9 bytes, in the journal 9), from byte 6 on: \"it is two\", in the journal \"it is one\"",
            ),
            (
                3,
                "host_memory_set with another value (6 bytes, in the journal 3), from byte 0 on: \"twelve\", in the journal \"one\"",
            ),
        ],
    );
    assert_eq!(replies[1], Ok(HostReply::Bytes("two".into())));
    assert!(replies.iter().all(Result::is_ok));
    assert_eq!(event.log.iter().map(|line| &line.message[..]).collect::<Vec<_>>(), ["it is two", "done"]);
    assert_eq!(event.ledger.used().of(Resource::MemoryWriteBytes), 4 + 4 + 6);
    event.journal.finish().unwrap();
}

#[test]
fn lines_more_and_less_are_noted() {
    let calls = [set("k", "one"), log("oh"), get(), set("copy", "one"), log("done"), log("really")];
    let (replies, event) = check(
        &calls,
        &[
            (1, "the run has host_log with 2 bytes, the journal host_memory_get with 1 bytes"),
            (2, "the run has no host_log with 9 bytes"),
            (5, "the run goes on with host_log with 6 bytes"),
        ],
    );
    assert!(replies.iter().all(Result::is_ok));
    event.journal.finish().unwrap();
}

#[test]
fn what_was_not_asked_then_has_no_answer() {
    for other in [set("another", "one"), HostCall::MemoryGet { key: "copy".into() }] {
        let (replies, _) = check(&[set("k", "one"), get(), log("it is one"), other], &[]);
        assert!(matches!(replies[3], Err(HostError::Diverged { index: 3, .. })), "{replies:?}");
    }
    let (replies, _) = check(&[&run()[..], &[get()]].concat(), &[]);
    assert_eq!(replies[5], Err(HostError::NotJournalled { index: 5, call: "host_memory_get" }));
}

#[test]
fn a_trace_has_every_call_once_and_the_rests_between() {
    let host = Host::builder().memory(InMemory::new()).build();
    let mut first = event("skill", Grants::default());
    first.journal = Journal::record().traced();
    for (index, call) in run()[..3].iter().enumerate() {
        first.journal.at_fuel(index as u64 * 10);
        block_on(host.call(&mut first, call.clone())).unwrap();
    }
    // As when the last call had waited.
    first.journal.parked(std::time::Instant::now());
    let mut again = event("skill", Grants::default());
    again.journal = first.journal.again();
    for (index, call) in run().into_iter().enumerate() {
        again.journal.at_fuel(index as u64 * 10);
        block_on(host.call(&mut again, call)).unwrap();
    }
    let trace = again.journal.trace().unwrap();
    let fuel: Vec<_> = trace.calls().iter().map(|call| call.fuel).collect();
    assert_eq!(fuel, [0, 10, 20, 30, 40]);
    let times: Vec<_> = trace.calls().iter().flat_map(|call| [call.asked, call.answered.unwrap()]).collect();
    assert!(times.is_sorted(), "{times:?}");
    let [rest] = trace.rests() else { panic!("one rest: {trace:?}") };
    assert_eq!(rest.call, 2);
    let (resumed, caught_up) = (rest.resumed.unwrap(), rest.caught_up.unwrap());
    assert!([times[5], rest.parked, resumed, caught_up, times[6]].is_sorted(), "{trace:?}");
}
