//! Every memory backend keeps the same promises.

mod support;

use bytes::Bytes;
use cis_wasm_host::{BackendErrorKind, InMemory, MemoryBackend, Namespace, Quota};
use support::block_on;

/// Runs a case on every store.
fn each(case: impl Fn(&dyn MemoryBackend)) {
    case(&InMemory::new());
    #[cfg(feature = "redb")]
    {
        let folder = tempfile::tempdir().unwrap();
        case(&cis_wasm_host::RedbMemory::open(folder.path().join("memory.redb")).unwrap());
    }
}

fn skill(name: &str) -> Namespace {
    Namespace::of_skill(&name.parse().unwrap())
}

fn get(store: &dyn MemoryBackend, space: &Namespace, key: &str) -> Option<Bytes> {
    block_on(store.get(space, key)).unwrap()
}

fn set(store: &dyn MemoryBackend, space: &Namespace, key: &str, value: &[u8]) {
    block_on(store.set(space, key, Bytes::copy_from_slice(value), Quota::default())).unwrap();
}

fn list(store: &dyn MemoryBackend, space: &Namespace, prefix: &str) -> Vec<String> {
    block_on(store.list(space, prefix, usize::MAX)).unwrap()
}

#[test]
fn what_was_set_is_got() {
    each(|store| {
        let space = skill("one");
        assert_eq!(get(store, &space, "k"), None);
        for value in [&b""[..], b"v", b"\0\xFF", &[7; 1 << 20]] {
            set(store, &space, "k", value);
            assert_eq!(get(store, &space, "k").unwrap(), value);
        }
        assert_eq!(get(store, &space, "K"), None);
    });
}

#[test]
fn what_was_deleted_is_gone() {
    each(|store| {
        let space = skill("one");
        set(store, &space, "k", b"v");
        assert!(block_on(store.delete(&space, "k")).unwrap());
        assert!(!block_on(store.delete(&space, "k")).unwrap());
        assert_eq!(get(store, &space, "k"), None);
    });
}

#[test]
fn keys_are_listed_in_order_of_their_bytes() {
    each(|store| {
        let space = skill("one");
        for key in ["b", "a/2", "a", "Z", "é", "a/10", "a/", "\u{10FFFF}", "a0"] {
            set(store, &space, key, b"");
        }
        assert_eq!(list(store, &space, ""), ["Z", "a", "a/", "a/10", "a/2", "a0", "b", "é", "\u{10FFFF}"]);
        assert_eq!(list(store, &space, "a/"), ["a/", "a/10", "a/2"]);
        assert_eq!(list(store, &space, "c"), [""; 0]);
    });
}

#[test]
fn a_namespace_cannot_be_left() {
    each(|store| {
        let spaces = [skill("a"), skill("a.b"), skill("ab"), skill("b"), Namespace::shared(&"a".parse().unwrap())];
        let keys = ["k", "/k", "a", "b/k", "skill/a", "\0", "\u{10FFFF}"];
        for (space, key) in spaces.iter().flat_map(|space| keys.iter().map(move |key| (space, key))) {
            set(store, space, key, format!("{} {key}", space.as_str()).as_bytes());
        }
        for space in &spaces {
            assert_eq!(list(store, space, "").len(), keys.len());
            for key in keys {
                assert_eq!(get(store, space, key).unwrap(), format!("{} {key}", space.as_str()));
            }
        }
        for key in keys {
            block_on(store.delete(&spaces[0], key)).unwrap();
        }
        assert_eq!(list(store, &spaces[0], ""), [""; 0]);
        assert!(spaces[1..].iter().all(|space| list(store, space, "").len() == keys.len()));
    });
}

#[test]
fn a_list_has_a_limit() {
    each(|store| {
        let space = skill("one");
        set(store, &space, "aa", b"");
        set(store, &space, "ab", b"");
        // Each key takes 4 bytes more than its own.
        assert_eq!(block_on(store.list(&space, "a", 12)).unwrap().len(), 2);
        let error = block_on(store.list(&space, "a", 11)).unwrap_err();
        assert_eq!(error.kind(), BackendErrorKind::TooLarge);
    });
}

#[test]
fn a_quota_counts_keys_and_bytes() {
    each(|store| {
        let (space, other) = (skill("one"), skill("two"));
        let quota = Quota { keys: 2, bytes: 20 };
        let set = |space: &Namespace, key: &str, len: usize| {
            block_on(store.set(space, key, Bytes::from(vec![b'x'; len]), quota)).map_err(|error| error.kind())
        };
        let full = Err(BackendErrorKind::QuotaExceeded);
        assert_eq!(set(&space, "a", 20), full, "a key has bytes too");
        assert_eq!(set(&space, "a", 9), Ok(()));
        assert_eq!(set(&space, "b", 9), Ok(()));
        assert_eq!(set(&space, "c", 0), full, "that is a third key");
        assert_eq!(set(&space, "a", 10), full, "that is a byte too many");
        assert_eq!(get(store, &space, "a").unwrap().len(), 9, "the old value stays");
        assert_eq!(set(&space, "a", 1), Ok(()));
        assert_eq!(set(&space, "b", 17), Ok(()), "what was given up can be used again");
        assert_eq!(set(&other, "a", 19), Ok(()), "another namespace has its own");
        assert!(block_on(store.delete(&space, "b")).unwrap());
        assert_eq!(set(&space, "c", 17), Ok(()));
        assert_eq!(set(&space, "c", 18), full);
    });
}

#[test]
fn many_threads_write_at_once() {
    each(|store| {
        std::thread::scope(|threads| {
            for thread in 0..8 {
                threads.spawn(move || {
                    let space = skill("one");
                    for n in 0..25 {
                        set(store, &space, &format!("{thread}/{n}"), format!("{thread} {n}").as_bytes());
                        assert_eq!(get(store, &space, &format!("{thread}/{n}")).unwrap(), format!("{thread} {n}"));
                    }
                });
            }
        });
        let space = skill("one");
        assert_eq!(list(store, &space, "").len(), 200);
        let bytes: usize =
            list(store, &space, "").iter().map(|key| key.len() + get(store, &space, key).unwrap().len()).sum();
        let exactly = Quota { keys: 200, bytes: bytes as u64 };
        block_on(store.set(&space, "0/0", "0 0".into(), exactly)).unwrap();
        let less = Quota { bytes: bytes as u64 - 1, ..exactly };
        assert!(block_on(store.set(&space, "0/0", "0 0".into(), less)).is_err());
    });
}
