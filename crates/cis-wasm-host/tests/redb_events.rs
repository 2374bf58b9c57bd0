//! Events in the store: what is kept of them, and what is written with them in one step.
#![cfg(feature = "redb")]

mod support;

use bytes::Bytes;
use cis_wasm_host::{
    Answer, Changed, Charge, EventEnd, EventId, EventToKeep, HostCall, HostReply, JournalEntry, JournalPiece,
    JournalStore, MemoryBackend, MemoryChange, Namespace, Quota, RedbMemory,
};
use support::block_on;

fn space() -> Namespace {
    Namespace::of_skill(&"notes".parse().unwrap())
}

fn event(data: &'static str) -> EventToKeep {
    EventToKeep { skill: "notes".parse().unwrap(), event_type: "note.add".into(), data: data.into() }
}

fn entry(call: HostCall, answer: Answer) -> JournalEntry {
    JournalEntry { call, answer, charge: Charge::default() }
}

fn log(message: &str) -> JournalEntry {
    let level = cis_wasm_abi::Level::Info;
    entry(HostCall::Log { level, message: message.into() }, Answer::Replied(HostReply::OK))
}

/// Sets a key to a value in the name of an event, with calls before it.
fn set(
    store: &RedbMemory,
    id: EventId,
    first: u64,
    before: Vec<JournalEntry>,
    quota: Quota,
) -> Result<Changed, String> {
    let (key, value) = ("greeting".to_owned(), Bytes::from("hello"));
    let call = HostCall::MemorySet { key: key.clone(), value: value.clone() };
    let made = move |changed: &Changed| {
        entry(
            call,
            match changed {
                Ok(_) => Answer::Replied(HostReply::OK),
                Err(error) => Answer::Refused { status: error.kind().status(), message: error.message().into() },
            },
        )
    };
    let piece = JournalPiece { event: id, first, entries: before };
    let change = MemoryChange::Set { namespace: space(), key, value, quota };
    block_on(store.change(piece, change, Box::new(made))).map_err(|error| error.message().to_owned())
}

fn greeting(store: &RedbMemory) -> Option<Bytes> {
    block_on(store.get(&space(), "greeting")).unwrap()
}

#[test]
fn an_event_is_there_with_its_journal_until_it_is_done() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("agent.redb");
    let store = RedbMemory::open(&path).unwrap();
    let (name, id) = (store.name().to_owned(), store.next_id());
    block_on(store.accept(id, event("a"))).unwrap();
    assert!(set(&store, id, 0, vec![log("one")], Quota::default()).unwrap().unwrap());
    block_on(store.append(JournalPiece { event: id, first: 2, entries: vec![log("two"), log("three")] })).unwrap();
    drop(store);

    let store = RedbMemory::open(&path).unwrap();
    assert_eq!(store.name(), name);
    let kept = block_on(store.unfinished()).unwrap();
    assert_eq!((kept.len(), kept[0].id, &kept[0].event, kept[0].failures), (1, id, &event("a"), 0));
    let calls: Vec<&str> = kept[0].journal.iter().map(|entry| entry.call.name()).collect();
    assert_eq!(calls, ["host_log", "host_memory_set", "host_log", "host_log"]);
    assert_eq!(greeting(&store).unwrap(), "hello");

    let end = EventEnd { error: None, body: Some("done".into()) };
    block_on(store.done(id, end.clone())).unwrap();
    assert!(block_on(store.unfinished()).unwrap().is_empty());
    assert_eq!(block_on(store.ended(id)).unwrap(), Some(end));
    drop(store);
    // Its number is not another's, although the event is gone.
    assert!(RedbMemory::open(&path).unwrap().next_id() > id);
}

#[test]
fn a_change_for_an_event_that_is_not_there_is_not_made() {
    let folder = tempfile::tempdir().unwrap();
    let store = RedbMemory::open(folder.path().join("agent.redb")).unwrap();
    let id = store.next_id();
    assert!(set(&store, id, 0, Vec::new(), Quota::default()).unwrap_err().contains("keeps no event"));
    assert_eq!(greeting(&store), None);
    assert!(block_on(store.append(JournalPiece { event: id, first: 0, entries: vec![log("one")] })).is_err());
    assert!(block_on(store.done(id, EventEnd { error: None, body: None })).is_err());
}

#[test]
fn a_run_that_does_not_know_all_that_was_done_does_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let store = RedbMemory::open(folder.path().join("agent.redb")).unwrap();
    let id = store.next_id();
    block_on(store.accept(id, event("a"))).unwrap();
    block_on(store.append(JournalPiece { event: id, first: 0, entries: vec![log("one")] })).unwrap();
    assert!(set(&store, id, 0, Vec::new(), Quota::default()).unwrap_err().contains("already"));
    assert_eq!(greeting(&store), None);
    assert!(set(&store, id, 1, Vec::new(), Quota::default()).unwrap().unwrap());
}

#[test]
fn a_change_that_its_quota_refuses_is_an_answer_that_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let store = RedbMemory::open(folder.path().join("agent.redb")).unwrap();
    let id = store.next_id();
    block_on(store.accept(id, event("a"))).unwrap();
    assert!(set(&store, id, 0, Vec::new(), Quota { keys: 0, bytes: 0 }).unwrap().is_err());
    assert_eq!(greeting(&store), None);
    let kept = block_on(store.unfinished()).unwrap();
    assert!(matches!(kept[0].journal[..], [JournalEntry { answer: Answer::Refused { .. }, .. }]), "{kept:?}");
}

#[test]
fn a_journal_with_a_gap_is_not_taken_for_a_whole_one() {
    let folder = tempfile::tempdir().unwrap();
    let store = RedbMemory::open(folder.path().join("agent.redb")).unwrap();
    let id = store.next_id();
    block_on(store.accept(id, event("a"))).unwrap();
    block_on(store.append(JournalPiece { event: id, first: 1, entries: vec![log("one")] })).unwrap();
    let error = block_on(store.unfinished()).unwrap_err();
    assert!(error.message().contains("0 calls before call 1"), "{error}");
}

#[test]
fn a_dead_letter_rests_until_it_is_revived() {
    let folder = tempfile::tempdir().unwrap();
    let store = RedbMemory::open(folder.path().join("agent.redb")).unwrap();
    let id = store.next_id();
    block_on(store.accept(id, event("a"))).unwrap();
    block_on(store.append(JournalPiece { event: id, first: 0, entries: vec![log("one")] })).unwrap();
    let failed = || block_on(store.failed(id, "it trapped".into(), 2)).unwrap();
    assert_eq!(failed().unwrap().failures, 1);
    assert_eq!(failed(), None);
    assert!(block_on(store.unfinished()).unwrap().is_empty());
    let letters = block_on(store.dead_letters()).unwrap();
    assert_eq!((letters.len(), &*letters[0].why, letters[0].kept.journal.len()), (1, "it trapped", 1));
    let revived = block_on(store.revive(id)).unwrap().unwrap();
    assert_eq!((revived.failures, revived.journal), (0, vec![log("one")]));
    assert!(block_on(store.dead_letters()).unwrap().is_empty());
    assert!(!block_on(store.discard(id)).unwrap(), "only a dead letter can be discarded");
    assert_eq!(block_on(store.unfinished()).unwrap().len(), 1);
}

#[test]
fn how_often_an_event_was_resumed_counts_from_its_last_call() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("agent.redb");
    let store = RedbMemory::open(&path).unwrap();
    let id = store.next_id();
    assert!(block_on(store.resumed(id, 1)).is_err(), "there is no such event");
    block_on(store.accept(id, event("a"))).unwrap();
    block_on(store.resumed(id, 2)).unwrap();
    drop(store);
    let store = RedbMemory::open(&path).unwrap();
    let resumed = || block_on(store.unfinished()).unwrap()[0].resumed;
    assert_eq!(resumed(), 2);
    block_on(store.append(JournalPiece { event: id, first: 0, entries: vec![log("one")] })).unwrap();
    assert_eq!(resumed(), 0);
    block_on(store.resumed(id, 1)).unwrap();
    // Nothing new.
    block_on(store.append(JournalPiece { event: id, first: 1, entries: Vec::new() })).unwrap();
    assert_eq!(resumed(), 1);
    assert_eq!(block_on(store.failed(id, "it trapped".into(), 1)).unwrap(), None);
    assert_eq!(block_on(store.dead_letters()).unwrap()[0].kept.resumed, 1);
    assert_eq!(block_on(store.revive(id)).unwrap().unwrap().resumed, 0);
}

#[test]
fn a_file_from_before_recoveries_were_counted_opens() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("agent.redb");
    let store = RedbMemory::open(&path).unwrap();
    let id = store.next_id();
    block_on(store.accept(id, event("a"))).unwrap();
    block_on(store.append(JournalPiece { event: id, first: 0, entries: vec![log("one")] })).unwrap();
    drop(store);
    let database = redb::Database::open(&path).unwrap();
    let transaction = database.begin_write().unwrap();
    assert!(transaction.delete_table(redb::TableDefinition::<u64, (u32, u64)>::new("resumed")).unwrap());
    transaction.commit().unwrap();
    drop(database);

    let store = RedbMemory::open(&path).unwrap();
    assert_eq!(block_on(store.unfinished()).unwrap()[0].resumed, 0);
    block_on(store.resumed(id, 1)).unwrap();
    assert_eq!(block_on(store.unfinished()).unwrap()[0].resumed, 1);
}
