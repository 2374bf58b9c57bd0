//! What the redb store promises beyond the others: a file that lasts, and errors that help.
#![cfg(feature = "redb")]

mod support;

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use bytes::Bytes;
use cis_wasm_host::{BackendErrorKind, MemoryBackend, Namespace, Quota, RedbMemory};
use support::block_on;

fn space() -> Namespace {
    Namespace::of_skill(&"notes".parse().unwrap())
}

fn set(store: &RedbMemory, key: &str, value: &'static str) {
    block_on(store.set(&space(), key, Bytes::from_static(value.as_bytes()), Quota::default())).unwrap();
}

fn get(store: &RedbMemory, key: &str) -> Option<Bytes> {
    block_on(store.get(&space(), key)).unwrap()
}

#[track_caller]
fn cannot_open(path: &Path, why: &str) {
    let error = RedbMemory::open(path).unwrap_err();
    assert_eq!(error.kind(), BackendErrorKind::Failed);
    assert!(error.message().contains(why), "{error}");
    assert!(error.message().contains(&path.display().to_string()), "{error}");
}

#[test]
fn what_was_written_is_there_in_the_next_life() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("not/yet/there/memory.redb");
    let store = RedbMemory::open(&path).unwrap();
    set(&store, "a", "1");
    set(&store, "b", "2");
    assert!(block_on(store.delete(&space(), "a")).unwrap());
    drop(store);
    let store = RedbMemory::open(&path).unwrap();
    assert_eq!(get(&store, "a"), None);
    assert_eq!(get(&store, "b").unwrap(), "2");
    // The usage was kept as well: one key of two bytes.
    let set = |keys, bytes| block_on(store.set(&space(), "b", "3".into(), Quota { keys, bytes }));
    assert_eq!(set(1, 1).unwrap_err().kind(), BackendErrorKind::QuotaExceeded);
    set(1, 2).unwrap();
}

#[test]
fn a_file_has_one_opener() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("memory.redb");
    let store = RedbMemory::open(&path).unwrap();
    set(&store, "a", "1");
    cannot_open(&path, "another process has this file open");
    assert_eq!(get(&store, "a").unwrap(), "1");
}

#[test]
fn another_process_is_told_that_the_file_is_open() {
    const PATH: &str = "CIS_TEST_OPEN_ELSEWHERE";
    if let Some(path) = std::env::var_os(PATH) {
        return cannot_open(path.as_ref(), "another process has this file open");
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("memory.redb");
    let _store = RedbMemory::open(&path).unwrap();
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "another_process_is_told_that_the_file_is_open"])
        .env(PATH, &path)
        .stdout(Stdio::null())
        .status()
        .unwrap();
    assert!(child.success());
}

#[test]
fn a_foreign_file_is_not_touched() {
    let folder = tempfile::tempdir().unwrap();
    for (name, content) in [("short", &b"hello"[..]), ("long", &[b'x'; 100_000])] {
        let path = folder.path().join(name);
        fs::write(&path, content).unwrap();
        cannot_open(&path, "not a redb file");
        assert_eq!(fs::read(&path).unwrap(), content, "{name}");
    }
}

#[test]
fn a_redb_file_of_another_program_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("other.redb");
    let database = redb::Database::create(&path).unwrap();
    let transaction = database.begin_write().unwrap();
    let table = redb::TableDefinition::<u64, u64>::new("entries");
    transaction.open_table(table).unwrap().insert(1, 2).unwrap();
    transaction.commit().unwrap();
    drop(database);
    cannot_open(&path, "a redb file of another program");
}

#[test]
fn a_newer_format_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("newer.redb");
    drop(RedbMemory::open(&path).unwrap());
    let database = redb::Database::create(&path).unwrap();
    let transaction = database.begin_write().unwrap();
    let table = redb::TableDefinition::<&str, u64>::new("format");
    transaction.open_table(table).unwrap().insert("version", 2).unwrap();
    transaction.commit().unwrap();
    drop(database);
    cannot_open(&path, "version 2 of the memory's format");
}

#[test]
fn a_folder_is_not_a_file_and_a_file_not_a_folder() {
    let folder = tempfile::tempdir().unwrap();
    cannot_open(folder.path(), "directory");
    let file = folder.path().join("file");
    fs::write(&file, "").unwrap();
    cannot_open(&file.join("memory.redb"), "cannot create its folder");
}

#[test]
fn a_call_that_was_given_up_leaves_the_store_working() {
    let folder = tempfile::tempdir().unwrap();
    let store = RedbMemory::open(folder.path().join("memory.redb")).unwrap();
    for _ in 0..100 {
        let space = space();
        let mut write = store.set(&space, "given up", Bytes::from_static(b"v"), Quota::default());
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        let _ = write.as_mut().poll(&mut context);
        drop(write);
    }
    set(&store, "a", "1");
    assert_eq!(get(&store, "a").unwrap(), "1");
}

#[test]
fn the_store_shows_where_it_lies_and_not_what_it_holds() {
    let folder = tempfile::tempdir().unwrap();
    let store = RedbMemory::open(folder.path().join("memory.redb")).unwrap();
    set(&store, "a", "content");
    let shown = format!("{store:?}");
    assert!(shown.contains("memory.redb") && !shown.contains("content"), "{shown}");
}
