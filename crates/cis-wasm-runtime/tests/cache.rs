//! The artifact cache, with real machine code: a module from the cache is the module, and nothing else ever is.
#![cfg(unix)]

mod common;

use std::fs::{self, File};
use std::os::unix::fs::{FileExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use cis_wasm_runtime::{ArtifactCache, CacheOutcome, Compiler, Limits, Outcome, Rejection, State, WasmRuntime};
use common::{Guest, assert_error, guest, on_event};
use tempfile::TempDir;

const STORED: CacheOutcome = CacheOutcome::Miss { stored: true };
/// Bytes of a file before its artifact.
const HEADER: usize = 96;

/// Does something of everything: host calls at start and in events, state, memory, tables, floats, traps with names.
fn busy() -> Guest {
    guest(
        r#"(import "env" "host_memory_get" (func $get (param i32 i32) (result i64)))
           (import "env" "host_log" (func $log (param i32 i32 i32)))
           (memory (export "memory") 1)
           (table 4 funcref) (elem (i32.const 1) $double $fail)
           (global $count (mut i32) (i32.const 0))
           (data (i32.const 16) "started")
           (type $unary (func (param i32) (result i32)))
           (func $double (type $unary) (i32.mul (local.get 0) (i32.const 2)))
           (func $fail (type $unary) (i32.div_u (local.get 0) (i32.const 0)))
           (func (export "skill_init") (result i32)
             (call $log (i32.const 1) (i32.const 16) (i32.const 7))
             (drop (call $get (i32.const 16) (i32.const 3)))
             (global.set $count (i32.const 20)) (i32.const 0))
           (func $work (result i32) (local $n i32)
             (loop (br_if 0 (i32.lt_u (local.tee $n (i32.add (local.get $n) (i32.const 1))) (i32.const 1000))))
             (f64.store (i32.const 64) (f64.sqrt (f64.const 2)))
             (global.set $count (i32.add (global.get $count) (i32.const 1)))
             (i32.store (i32.const 72) (call_indirect (type $unary) (global.get $count) (i32.const 1)))
             (memory.copy (i32.const 80) (i32.const 64) (i32.const 16))
             (i32.const 80))
           (func (export "skill_on_event") (param i32 i32 i32 i32) (result i64)
             (if (i32.eq (local.get 3) (i32.const 1)) (then (drop (call_indirect (type $unary) (i32.const 1) (i32.const 2)))))
             (if (i32.eq (local.get 3) (i32.const 2)) (then unreachable))
             (if (i32.eq (local.get 3) (i32.const 3)) (then (i32.store (i32.const -1) (i32.const 0))))
             (i64.or (i64.shl (i64.extend_i32_u (call $work)) (i64.const 32)) (i64.const 16)))"#,
    )
}

/// Answers with a number of its own.
fn numbered(number: u32) -> Guest {
    let bytes: String = number.to_le_bytes().iter().map(|byte| format!("\\{byte:02x}")).collect();
    guest(&format!(
        r#"(memory (export "memory") 1) (data (i32.const 16) "{bytes}")
           (func (export "skill_on_event") (param i32 i32 i32 i32) (result i64) (i64.const 0x10_0000_0004))"#
    ))
}

fn runtime(compiler: Compiler, dir: &Path) -> WasmRuntime {
    WasmRuntime::builder().compiler(compiler).cache(ArtifactCache::open(dir).unwrap()).build().unwrap()
}

/// A skill loaded through a cache, and what the cache did.
#[track_caller]
fn load(guest: &Guest, compiler: Compiler, dir: &Path) -> (cis_wasm_runtime::WasmInstance, CacheOutcome) {
    let skill = runtime(compiler, dir).load(&guest.wasm, guest.spec.clone()).unwrap();
    let outcome = skill.cache_outcome();
    (skill, outcome)
}

/// The only artifact in a folder.
#[track_caller]
fn only_artifact(dir: &Path) -> PathBuf {
    let files = artifacts(dir);
    assert_eq!(files.len(), 1, "{files:?}");
    files.into_iter().next().unwrap()
}

fn artifacts(dir: &Path) -> Vec<PathBuf> {
    let files = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    files.filter(|path| path.extension().is_some_and(|extension| extension == "artifact")).collect()
}

/// What does not depend on the time.
fn told(outcome: Outcome) -> impl PartialEq + std::fmt::Debug {
    let result = outcome.result.map_err(|error| (error.code(), error.to_string()));
    (result, outcome.log, outcome.receipt.fuel, outcome.receipt.ledger, outcome.receipt.memory_bytes)
}

#[test]
fn a_module_from_the_cache_is_the_module() {
    for (state, compiler) in
        [State::Fresh, State::Kept].into_iter().flat_map(|s| Compiler::ALL.iter().map(move |c| (s, *c)))
    {
        let dir = tempfile::tempdir().unwrap();
        let guest = busy().with(|spec| spec.state = state);
        let plain = guest.load(compiler).unwrap();
        assert_eq!(plain.cache_outcome(), CacheOutcome::Off);
        let (compiled, outcome) = load(&guest, compiler, dir.path());
        assert_eq!(outcome, STORED);
        let (found, outcome) = load(&guest, compiler, dir.path());
        assert_eq!(outcome, CacheOutcome::Hit);
        assert_eq!(plain.init_log(), found.init_log());
        for data in [&b""[..], b"1", b"", b"22", b"333", b"4444"] {
            let expected = told(plain.run("test", data));
            assert_eq!(told(compiled.run("test", data)), expected, "{}", compiler.name());
            assert_eq!(told(found.run("test", data)), expected, "{}", compiler.name());
        }
        let trapped = found.run("test", b"1").result.unwrap_err();
        assert_error(&trapped, "trap_division_by_zero", "fail");
    }
}

#[test]
fn what_cannot_be_set_back_is_known_of_a_module_from_the_cache() {
    // The first event of an instance is answered, a second one is not.
    let guest = guest(
        &on_event("(i32.eqz (ref.is_null (table.get (i32.const 0)))) (table.set (i32.const 0) (ref.func $f))")
            .replace("(memory", "(table 1 funcref) (elem declare func $f) (func $f) (memory"),
    );
    for compiler in Compiler::ALL {
        let dir = TempDir::new().unwrap();
        for expected in [STORED, CacheOutcome::Hit] {
            let (skill, outcome) = load(&guest, *compiler, dir.path());
            assert_eq!(outcome, expected);
            for _ in 0..3 {
                assert_eq!(skill.run("", b"").result.unwrap(), "");
            }
        }
    }
}

#[test]
fn each_compiler_has_its_own() {
    let dir = tempfile::tempdir().unwrap();
    for (index, compiler) in Compiler::ALL.iter().enumerate() {
        assert_eq!(load(&busy(), *compiler, dir.path()).1, STORED, "{}", compiler.name());
        assert_eq!(artifacts(dir.path()).len(), index + 1);
    }
    for compiler in Compiler::ALL {
        assert_eq!(load(&busy(), *compiler, dir.path()).1, CacheOutcome::Hit, "{}", compiler.name());
    }
}

#[test]
fn limits_hold_for_a_module_from_the_cache() {
    for compiler in Compiler::ALL {
        let dir = tempfile::tempdir().unwrap();
        let grows = guest(
            r#"(memory (export "memory") 2) (table $t 10 funcref)
               (func (export "skill_on_event") (param i32 i32 i32 i32) (result i32)
                 (i32.add (memory.grow (i32.const 3)) (table.grow $t (ref.null func) (i32.const 5))))"#,
        );
        let limited = |pages: u64, elements: u32, fuel: u64| {
            let limits = Limits { memory_bytes: pages << 16, table_elements: elements, fuel, ..Limits::default() };
            runtime(*compiler, dir.path()).load(&grows.wasm, grows.clone().with(|spec| spec.limits = limits).spec)
        };
        assert_eq!(limited(10, 100, 1 << 30).unwrap().cache_outcome(), STORED);
        // What the guest answers with is the sum of both old sizes, one page of it the host's, or of one and a refusal.
        for (pages, elements, sum) in [(10, 100, 13), (4, 100, 9), (10, 14, 2), (4, 14, -2)] {
            let skill = limited(pages, elements, 1 << 30).unwrap();
            assert_eq!(skill.cache_outcome(), CacheOutcome::Hit);
            let error = skill.run("test", b"").result.unwrap_err();
            assert_error(&error, "skill_failed", &format!("skill_on_event returned {sum}"));
        }
        assert_error(&limited(1, 100, 1 << 30).err().unwrap(), "out_of_memory", "131072 bytes");
        assert_error(&limited(10, 9, 1 << 30).err().unwrap(), "table_too_large", "10 elements");
        let poor = limited(10, 100, 3).unwrap();
        assert_eq!(poor.cache_outcome(), CacheOutcome::Hit);
        assert_error(&poor.run("test", b"").result.unwrap_err(), "out_of_fuel", "3 units");
    }
}

#[test]
fn a_module_that_is_refused_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let refused = guest(r#"(memory (export "memory") 1)"#);
    for _ in 0..2 {
        let error = runtime(Compiler::default(), dir.path()).load(&refused.wasm, refused.spec.clone()).err().unwrap();
        assert_error(&error, "missing_export", "skill_on_event");
    }
    assert!(artifacts(dir.path()).is_empty());
}

/// A folder with one whole artifact.
struct Stocked {
    compiler: Compiler,
    dir: TempDir,
    file: PathBuf,
    whole: Vec<u8>,
}

impl Stocked {
    fn new(compiler: Compiler) -> Self {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(load(&numbered(7), compiler, dir.path()).1, STORED);
        let file = only_artifact(dir.path());
        let whole = fs::read(&file).unwrap();
        Stocked { compiler, dir, file, whole }
    }

    /// What stands in the artifact's place does not run: the answer is right all the same, and the place is put right.
    #[track_caller]
    fn rejects(&self, what: &str, why: &dyn Fn(&Rejection) -> bool) {
        let (skill, outcome) = load(&numbered(7), self.compiler, self.dir.path());
        match &outcome {
            CacheOutcome::Rejected { why: found, stored: true } if why(found) => {}
            _ => panic!("{}, {what}: {outcome:?}", self.compiler.name()),
        }
        assert_eq!(skill.run("test", b"").result.unwrap(), 7_u32.to_le_bytes()[..], "{what}");
        let (skill, outcome) = load(&numbered(7), self.compiler, self.dir.path());
        assert_eq!(outcome, CacheOutcome::Hit, "{what}");
        assert_eq!(skill.run("test", b"").result.unwrap(), 7_u32.to_le_bytes()[..], "{what}");
    }
}

#[test]
fn a_changed_artifact_is_never_run() {
    for compiler in Compiler::ALL {
        let stocked = Stocked::new(*compiler);
        let whole = &stocked.whole;
        // Every field of the header; of the artifact, its beginning, its end and what is spread between.
        let fields = [0, 23, 24, 31, 32, 63, 64, 95];
        let body =
            (HEADER..HEADER + 40).chain((HEADER..whole.len()).step_by(whole.len() / 23)).chain([whole.len() - 1]);
        for (count, at) in fields.into_iter().chain(body).enumerate() {
            let mut changed = whole.clone();
            changed[at] ^= 1 << (count % 8);
            fs::write(&stocked.file, changed).unwrap();
            stocked.rejects(&format!("byte {at}"), &|why| match at {
                0..24 => *why == Rejection::UnknownFormat,
                24..32 => *why == Rejection::WrongLength,
                32..64 => *why == Rejection::Foreign,
                _ => *why == Rejection::NotAuthentic,
            });
        }
    }
}

#[test]
fn a_part_of_an_artifact_is_never_run() {
    for compiler in Compiler::ALL {
        let stocked = Stocked::new(*compiler);
        let whole = &stocked.whole;
        for len in [0, 1, 23, 24, 31, 32, 63, 64, 95, 96, 97, 112, 128, whole.len() / 2, whole.len() - 1] {
            fs::write(&stocked.file, &whole[..len]).unwrap();
            stocked.rejects(&format!("{len} bytes"), &|why| *why == Rejection::WrongLength);
        }
        fs::write(&stocked.file, [whole, &b"more"[..]].concat()).unwrap();
        stocked.rejects("longer", &|why| *why == Rejection::WrongLength);
    }
}

#[test]
fn an_artifact_from_elsewhere_is_never_run() {
    for compiler in Compiler::ALL {
        let stocked = Stocked::new(*compiler);
        // Whole and authentic, of another module and of another compiler.
        for (what, number, other) in Compiler::ALL
            .iter()
            .map(|other| ("module", 8, *other))
            .chain(Compiler::ALL.iter().filter(|other| *other != compiler).map(|other| ("compiler", 7, *other)))
        {
            load(&numbered(number), other, stocked.dir.path());
            let file = artifacts(stocked.dir.path()).into_iter().find(|file| *file != stocked.file).unwrap();
            fs::rename(file, &stocked.file).unwrap();
            stocked.rejects(what, &|why| *why == Rejection::Foreign);
        }
        // Made with another key.
        let other = Stocked::new(*compiler);
        fs::copy(&other.file, &stocked.file).unwrap();
        stocked.rejects("another key", &|why| *why == Rejection::NotAuthentic);
        // Through a link, to one that is whole.
        let moved = stocked.dir.path().join("moved");
        fs::rename(&stocked.file, &moved).unwrap();
        symlink(&moved, &stocked.file).unwrap();
        stocked.rejects("a link", &|why| *why == Rejection::NotAFile);
        assert_eq!(fs::read(&moved).unwrap(), stocked.whole, "what a link led to is left alone");
        // A second name of a file of somebody else's code.
        fs::remove_file(&stocked.file).unwrap();
        fs::copy(&other.file, &moved).unwrap();
        fs::hard_link(&moved, &stocked.file).unwrap();
        stocked.rejects("a second name", &|why| *why == Rejection::NotAuthentic);
        // That others may write to.
        fs::set_permissions(&stocked.file, fs::Permissions::from_mode(0o666)).unwrap();
        stocked.rejects("writable", &|why| matches!(why, Rejection::NotPrivate { .. }));
    }
}

const RACE: &str = "CIS_CACHE_RACE";
const PROCESSES: usize = 8;
const MODULES: u32 = 6;

#[test]
fn eight_processes_share_a_folder() {
    let parent = tempfile::tempdir().unwrap();
    // Not there yet: they race for the folder and its key too.
    let dir = parent.path().join("artifacts");
    let program = std::env::current_exe().unwrap();
    let children: Vec<_> = (0..PROCESSES)
        .map(|child| {
            let mut command = Command::new(&program);
            command.args(["--exact", "one_process_of_the_race", "--nocapture"]);
            command.env(RACE, format!("{child}:{}", dir.display())).stdout(Stdio::piped()).stderr(Stdio::piped());
            command.spawn().unwrap()
        })
        .collect();
    let (mut hits, mut misses, mut rejected) = (0, 0, 0);
    for child in children {
        let output = child.wait_with_output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{text}\n{}", String::from_utf8_lossy(&output.stderr));
        let line = text.lines().find_map(|line| line.strip_prefix("race ")).unwrap_or_else(|| panic!("{text}"));
        let counts: Vec<u32> = line.split(' ').map(|count| count.parse().unwrap()).collect();
        (hits, misses, rejected) = (hits + counts[0], misses + counts[1], rejected + counts[2]);
    }
    assert!(hits > 0 && misses > 0 && rejected > 0, "{hits} hits, {misses} misses, {rejected} rejected: no race");
    // What they left works.
    for number in 0..MODULES {
        for compiler in Compiler::ALL {
            let (skill, _) = load(&numbered(number), *compiler, &dir);
            assert_eq!(skill.run("test", b"").result.unwrap(), number.to_le_bytes()[..]);
        }
    }
}

/// Loads, stores, evicts and damages, when it was started by [`eight_processes_share_a_folder`]; else there is no race to
/// run, and it says so.
#[test]
fn one_process_of_the_race() {
    let Ok(race) = std::env::var(RACE) else { return println!("no race") };
    let (child, dir) = race.split_once(':').unwrap();
    let child: u32 = child.parse().unwrap();
    let dir = Path::new(dir);
    // Room for some of the artifacts, so that they are evicted all the time.
    let cache = ArtifactCache::open_bounded(dir, 60 << 10).unwrap();
    let mut random = child.wrapping_mul(0x9e37_79b9) | 1;
    let mut next = |below: u32| {
        random ^= random << 13;
        random ^= random >> 17;
        random ^= random << 5;
        random % below
    };
    let (mut hits, mut misses, mut rejected) = (0, 0, 0);
    for _ in 0..60 {
        let number = next(MODULES);
        let compiler = Compiler::ALL[next(Compiler::ALL.len() as u32) as usize];
        let runtime = WasmRuntime::builder().compiler(compiler).cache(cache.clone()).build().unwrap();
        let guest = numbered(number);
        let skill = runtime.load(&guest.wasm, guest.spec).unwrap();
        match skill.cache_outcome() {
            CacheOutcome::Hit => hits += 1,
            CacheOutcome::Miss { .. } => misses += 1,
            CacheOutcome::Rejected { .. } => rejected += 1,
            other => panic!("{other:?}"),
        }
        assert_eq!(skill.run("test", b"").result.unwrap(), number.to_le_bytes()[..], "{}", compiler.name());
        // Two of them do harm, in place, while the others read.
        if child < 2 {
            let files = artifacts(dir);
            let Some(file) = files.get(next(files.len().max(1) as u32) as usize) else { continue };
            let at = u64::from(next(4096));
            // Others may have removed it meanwhile.
            let _ = match next(4) {
                0 => File::options().write(true).open(file).and_then(|file| file.write_at(b"harm", at).map(drop)),
                1 => File::options().write(true).open(file).and_then(|file| file.set_len(at)),
                2 => fs::remove_file(file).and_then(|()| symlink("/dev/null", file)),
                _ => files.iter().find(|other| *other != file).map_or(Ok(()), |other| fs::rename(other, file)),
            };
        }
    }
    println!("race {hits} {misses} {rejected}");
}
