//! What is done to a file in a cache, and what the cache says to it. What the runtime makes of that is in the tests of the
//! crate (`tests/cache.rs`).

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use tempfile::TempDir;

use super::id::Made;
use super::*;
use crate::making::Making;
use crate::{Compiler, WasmRuntime};

const ARTIFACT: &[u8] = b"machine code, as far as this layer knows";

/// A cache with one artifact in it.
struct Stocked {
    dir: TempDir,
    cache: ArtifactCache,
    id: ArtifactId,
}

fn making() -> Making {
    WasmRuntime::new().unwrap().making().clone()
}

fn made() -> Made {
    Made::here(making().compiler.backend(), making().metering)
}

impl Stocked {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let cache = ArtifactCache::open(dir.path().join("artifacts")).unwrap();
        let id = ArtifactId::of(&made(), b"a module");
        assert!(cache.keep(&id, ARTIFACT));
        Stocked { dir, cache, id }
    }

    fn file(&self) -> PathBuf {
        self.cache.dir().join(self.id.file_name())
    }

    fn found(&self) -> Result<Option<Vec<u8>>, Rejection> {
        self.cache.find(&self.id).map(|found| found.map(|artifact| artifact.into_room()[seal::HEADER..].to_vec()))
    }

    /// What is in place is rejected for this; what is stored then is found.
    #[track_caller]
    fn rejects(&self, what: &str, why: &Rejection) {
        match self.found() {
            Err(found) => assert_eq!(found, *why, "{what}"),
            Ok(found) => panic!("{what}: {found:?}"),
        }
        assert!(self.cache.keep(&self.id, ARTIFACT), "{what}");
        assert_eq!(self.found().unwrap().as_deref(), Some(ARTIFACT), "{what}");
    }
}

#[test]
fn what_was_kept_is_found() {
    let stocked = Stocked::new();
    assert_eq!(stocked.found().unwrap().as_deref(), Some(ARTIFACT));
    let reopened = ArtifactCache::open(stocked.cache.dir()).unwrap();
    assert_eq!(reopened.find(&stocked.id).unwrap().unwrap().into_room()[seal::HEADER..], *ARTIFACT);
    assert!(reopened.find(&ArtifactId::of(&made(), b"another module")).unwrap().is_none());
}

#[test]
fn every_bit_of_a_file_counts() {
    let stocked = Stocked::new();
    let whole = fs::read(stocked.file()).unwrap();
    assert_eq!(whole.len(), seal::HEADER + ARTIFACT.len());
    for at in 0..whole.len() {
        let (field, _) = seal::FIELDS.into_iter().rev().find(|(_, begin)| *begin <= at).unwrap();
        for bit in 0..8 {
            let mut changed = whole.clone();
            changed[at] ^= 1 << bit;
            fs::write(stocked.file(), &changed).unwrap();
            let why = match field {
                "magic" => Rejection::UnknownFormat,
                "length" => Rejection::WrongLength,
                "id" => Rejection::Foreign,
                _ => Rejection::NotAuthentic,
            };
            assert_eq!(stocked.found().unwrap_err(), why, "bit {bit} of byte {at}, in {field}");
        }
    }
    stocked.rejects("the last of them", &Rejection::NotAuthentic);
}

#[test]
fn every_length_but_the_right_one_is_wrong() {
    let stocked = Stocked::new();
    let whole = fs::read(stocked.file()).unwrap();
    for len in 0..whole.len() {
        fs::write(stocked.file(), &whole[..len]).unwrap();
        assert_eq!(stocked.found().unwrap_err(), Rejection::WrongLength, "{len} bytes");
    }
    for more in [1, 16, 4096] {
        fs::write(stocked.file(), [&whole[..], &vec![0; more]].concat()).unwrap();
        stocked.rejects("longer", &Rejection::WrongLength);
    }
    // A length that fits the file, which is the wrong one.
    let mut short = whole[..whole.len() - 1].to_vec();
    short[24..32].copy_from_slice(&(ARTIFACT.len() as u64 - 1).to_le_bytes());
    fs::write(stocked.file(), short).unwrap();
    stocked.rejects("shorter in both places", &Rejection::NotAuthentic);
}

#[test]
fn an_artifact_of_anything_else_is_foreign() {
    let here = made();
    let others = [
        ("module", here.clone(), b"another module".to_vec()),
        ("version", Made { versions: here.versions.replace("7.4.2", "7.4.3"), ..here.clone() }, b"a module".to_vec()),
        (
            "compiler",
            Made { versions: here.versions.replace("cranelift", "other"), ..here.clone() },
            b"a module".to_vec(),
        ),
        ("build", Made { program: format!("{}1", here.program), ..here.clone() }, b"a module".to_vec()),
        ("processor", Made { target: here.target.replace("SSE2", "SSE9"), ..here.clone() }, b"a module".to_vec()),
        ("settings", Made { settings: here.settings.replace("NaNs", "zeros"), ..here.clone() }, b"a module".to_vec()),
        // The same text in other fields.
        (
            "fields",
            Made { versions: format!("{}{}", here.versions, here.program), program: String::new(), ..here.clone() },
            b"a module".to_vec(),
        ),
    ];
    for (what, made, module) in others {
        let stocked = Stocked::new();
        let other = ArtifactId::of(&made, &module);
        assert_ne!(other.file_name(), stocked.id.file_name(), "{what}");
        // Under its own name nobody asks for it. Under the name of ours, with the right key, it is still another's.
        assert!(stocked.cache.keep(&other, ARTIFACT));
        fs::rename(stocked.cache.dir().join(other.file_name()), stocked.file()).unwrap();
        stocked.rejects(what, &Rejection::Foreign);
    }
}

#[test]
fn what_an_artifact_depends_on_is_named() {
    let made = made();
    for (field, says) in [
        (&made.versions, "cranelift of wasmer 7.4.2; cis-wasm-runtime 0.1.0; contract 1"),
        (&made.target, std::env::consts::ARCH),
        (&made.settings, &format!("canonical NaNs; {:?}; Features", making().metering)),
        (&made.program, "bytes"),
    ] {
        assert!(field.contains(says), "{field} does not say {says}");
    }
    for compiler in Compiler::ALL {
        assert!(Made::here(compiler.backend(), making().metering).versions.starts_with(compiler.name()));
    }
}

#[test]
fn an_artifact_of_another_key_is_not_authentic() {
    let (stocked, other) = (Stocked::new(), Stocked::new());
    fs::copy(other.file(), stocked.file()).unwrap();
    stocked.rejects("another key", &Rejection::NotAuthentic);
    // A hash without a key is one that anybody can make.
    let mut forged = fs::read(stocked.file()).unwrap();
    for forger in [blake3::Hasher::new(), blake3::Hasher::new_keyed(&[0; secret::LEN])] {
        let mut forger = forger;
        forger.update(&forged[..64]).update(b"code of somebody else's choice, forty b.");
        forged.truncate(64);
        forged.extend(forger.finalize().as_bytes());
        forged.extend(b"code of somebody else's choice, forty b.");
        fs::write(stocked.file(), &forged).unwrap();
        stocked.rejects("forged", &Rejection::NotAuthentic);
    }
    // The key that is gone takes all artifacts with it.
    fs::remove_file(stocked.cache.dir().join(secret::FILE)).unwrap();
    let reopened = ArtifactCache::open(stocked.cache.dir()).unwrap();
    assert_eq!(reopened.find(&stocked.id).err(), Some(Rejection::NotAuthentic));
}

#[test]
fn only_a_file_of_ones_own_is_read() {
    let stocked = Stocked::new();
    let elsewhere = stocked.dir.path().join("elsewhere");
    // Even one that is whole.
    fs::rename(stocked.file(), &elsewhere).unwrap();
    symlink(&elsewhere, stocked.file()).unwrap();
    stocked.rejects("a link", &Rejection::NotAFile);
    assert!(elsewhere.exists(), "what a link led to is left alone");
    fs::remove_file(stocked.file()).unwrap();
    symlink("/nowhere", stocked.file()).unwrap();
    stocked.rejects("a link to nowhere", &Rejection::NotAFile);

    fs::remove_file(stocked.file()).unwrap();
    assert!(std::process::Command::new("mkfifo").arg(stocked.file()).status().unwrap().success());
    stocked.rejects("a pipe, which would wait for a writer", &Rejection::NotAFile);

    // A second name of a file that is another's: its content is not ours.
    fs::remove_file(stocked.file()).unwrap();
    let foreign = stocked.dir.path().join("foreign");
    fs::write(&foreign, "code").unwrap();
    fs::set_permissions(&foreign, fs::Permissions::from_mode(0o600)).unwrap();
    fs::hard_link(&foreign, stocked.file()).unwrap();
    stocked.rejects("another file's second name", &Rejection::WrongLength);
    assert_eq!(fs::read(&foreign).unwrap(), b"code", "what a name stood for is left alone");

    for mode in [0o620, 0o602, 0o666] {
        fs::set_permissions(stocked.file(), fs::Permissions::from_mode(mode)).unwrap();
        match stocked.found() {
            Err(Rejection::NotPrivate { what }) => assert!(what.contains(&format!("{mode:o}")), "{what}"),
            other => panic!("{mode:o}: {other:?}"),
        }
        assert!(stocked.cache.keep(&stocked.id, ARTIFACT));
    }
    assert_eq!(fs::metadata(stocked.file()).unwrap().mode() & 0o777, 0o600);

    fs::remove_file(stocked.file()).unwrap();
    fs::create_dir(stocked.file()).unwrap();
    assert_eq!(stocked.found().unwrap_err(), Rejection::NotAFile);
    assert!(!stocked.cache.keep(&stocked.id, ARTIFACT), "nothing is removed that a cache never makes");
}

#[test]
fn another_users_file_is_not_read() {
    let stocked = Stocked::new();
    // Only root can give files away; for anybody else it is enough that nothing is found to be wrong.
    if std::os::unix::fs::chown(stocked.file(), Some(65534), None).is_ok() {
        assert!(matches!(stocked.found(), Err(Rejection::NotPrivate { what }) if what.contains("65534")));
        std::os::unix::fs::chown(stocked.cache.dir(), Some(65534), None).unwrap();
        refused(ArtifactCache::open(stocked.cache.dir()), "belongs to the user with number 65534");
    } else {
        assert_eq!(stocked.found().unwrap().as_deref(), Some(ARTIFACT));
    }
}

#[track_caller]
fn refused(opened: Result<ArtifactCache, Error>, says: &str) {
    let error = opened.unwrap_err();
    assert_eq!((error.code(), error.fault()), ("bad_cache", cis_wasm_host::Fault::Caller), "{error}");
    assert!(error.to_string().contains(says), "{error} does not say {says}");
}

#[test]
fn a_folder_that_others_may_write_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("a/b");
    let mode = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    let cache = ArtifactCache::open(&folder).unwrap();
    assert_eq!(fs::metadata(&folder).unwrap().mode() & 0o777, 0o700);
    for open in [0o720, 0o702, 0o777] {
        mode(&folder, open);
        refused(ArtifactCache::open(&folder), "others may write it");
    }
    mode(&folder, 0o755);
    ArtifactCache::open(&folder).unwrap();

    let key = cache.dir().join(secret::FILE);
    assert_eq!(fs::metadata(&key).unwrap().mode() & 0o777, 0o600);
    for open in [0o640, 0o604, 0o620, 0o666] {
        mode(&key, open);
        refused(ArtifactCache::open(&folder), "its file `key`: its mode is");
    }
    mode(&key, 0o600);
    fs::write(&key, [0; secret::LEN - 1]).unwrap();
    refused(ArtifactCache::open(&folder), "31 bytes");
    fs::remove_file(&key).unwrap();
    fs::write(dir.path().join("key"), [0; secret::LEN]).unwrap();
    mode(&dir.path().join("key"), 0o600);
    symlink(dir.path().join("key"), &key).unwrap();
    refused(ArtifactCache::open(&folder), "it is a link");
    fs::remove_file(&key).unwrap();
    fs::create_dir(&key).unwrap();
    refused(ArtifactCache::open(&folder), "it is not a file");

    refused(ArtifactCache::open(dir.path().join("key")), "");
    refused(ArtifactCache::open(dir.path().join("key/below")), "cannot be made");
}

#[test]
fn keys_differ_and_stay() {
    let (one, two) = (Stocked::new(), Stocked::new());
    let key = |stocked: &Stocked| fs::read(stocked.cache.dir().join(secret::FILE)).unwrap();
    assert_eq!(key(&one).len(), secret::LEN);
    assert_ne!(key(&one), key(&two));
    let before = key(&one);
    ArtifactCache::open(one.cache.dir()).unwrap();
    assert_eq!(key(&one), before);
    let left: Vec<_> = fs::read_dir(one.cache.dir()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left.len(), 2, "nothing unfinished is left: {left:?}");
}

#[test]
fn what_was_used_last_stays_within_the_bound() {
    let dir = tempfile::tempdir().unwrap();
    // Room for three, and looked at after each: a sixteenth is less than one.
    let len = (seal::HEADER + ARTIFACT.len()) as u64;
    let cache = ArtifactCache::open_bounded(dir.path(), 3 * len).unwrap();
    let id = |number: u8| ArtifactId::of(&made(), &[number]);
    let age = |number: u8, seconds: u64| {
        let file = fs::File::open(cache.dir().join(id(number).file_name())).unwrap();
        file.set_modified(SystemTime::now() - Duration::from_secs(seconds)).unwrap();
    };
    for number in 1..=3 {
        assert!(cache.keep(&id(number), ARTIFACT));
        age(number, 100 - u64::from(number));
    }
    assert!(cache.find(&id(1)).unwrap().is_some(), "this one is used");
    // What others left behind: half a file of long ago, half a file of now, and something that is not ours.
    for (name, seconds) in [(".new-old", 4000), (".new-young", 10), ("notes.txt", 9000)] {
        fs::write(cache.dir().join(name), "half").unwrap();
        let file = fs::File::open(cache.dir().join(name)).unwrap();
        file.set_modified(SystemTime::now() - Duration::from_secs(seconds)).unwrap();
    }
    assert!(cache.keep(&id(4), ARTIFACT));
    let there: Vec<bool> = (1..=4).map(|number| cache.find(&id(number)).unwrap().is_some()).collect();
    assert_eq!(there, [true, false, true, true], "the one that was not used for longest is gone");
    let exists = |name: &str| cache.dir().join(name).exists();
    assert_eq!((exists(".new-old"), exists(".new-young"), exists("notes.txt")), (false, true, true));

    assert!(!cache.keep(&id(5), &vec![0; 3 * len as usize]), "larger than all of the bound");
    assert!(cache.find(&id(5)).unwrap().is_none());
    // What is there and too large is not read either: it may be of any size.
    let other = ArtifactCache::open_bounded(dir.path(), len - 1).unwrap();
    assert_eq!(other.find(&id(1)).err(), Some(Rejection::WrongLength));
}
