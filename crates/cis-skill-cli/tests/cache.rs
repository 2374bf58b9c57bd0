//! A skill that was run before is not compiled again, and an operator is told when that did not work.
#![cfg(unix)]

mod support;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use serde_json::Value as Json;
use support::{COMPILERS, Ran, folder, run, wat};

const ANSWER: &str = r#"(module (memory (export "memory") 1) (data (i32.const 16) "42")
    (func (export "skill_on_event") (param i32 i32 i32 i32) (result i64) (i64.const 0x10_0000_0002)))"#;

fn report(skill: &Path, data: &Path, args: &[&str]) -> Json {
    Ran::of(run(skill, data).args(["--event", "x", "--json"]).args(args)).json()
}

/// What the object says of the cache, of an event that was answered.
#[track_caller]
fn cache(skill: &Path, data: &Path, args: &[&str]) -> String {
    let report = report(skill, data, args);
    assert_eq!(report["response"], 42, "{report}");
    report["cache"].as_str().unwrap_or_else(|| panic!("{report}")).to_owned()
}

fn artifact(cache: &Path) -> PathBuf {
    let mut files = fs::read_dir(cache).unwrap().map(|entry| entry.unwrap().path());
    files.find(|path| path.extension().is_some_and(|extension| extension == "artifact")).unwrap()
}

#[test]
fn the_second_run_finds_what_the_first_one_compiled() {
    for compiler in COMPILERS {
        let here = folder(&format!("cache-{compiler}"));
        let (skill, data) = (wat(&here, "answer", ANSWER), here.join("data"));
        let with: &[&str] = &["--compiler", compiler];
        assert_eq!(cache(&skill, &data, &[with, &["--no-cache"]].concat()), "off");
        assert!(!data.join("artifacts").exists());
        assert_eq!(cache(&skill, &data, with), "miss");
        assert_eq!(cache(&skill, &data, with), "hit");

        let file = artifact(&data.join("artifacts"));
        let mut changed = fs::read(&file).unwrap();
        *changed.last_mut().unwrap() ^= 1;
        fs::write(&file, &changed).unwrap();
        let ran = Ran::of(run(&skill, &data).args(["--event", "x"]).args(with));
        assert_eq!((ran.code, ran.stdout.as_str()), (Some(0), "42\n"));
        assert!(ran.shows("compiled anew, the cache is rejected: it was changed"), "{}", ran.stderr);
        assert_eq!(cache(&skill, &data, with), "hit");
    }
}

#[test]
fn a_cache_that_others_may_write_is_not_used() {
    let here = folder("cache-open");
    let (skill, data) = (wat(&here, "answer", ANSWER), here.join("data"));
    let open = |path: &Path| fs::set_permissions(path, fs::Permissions::from_mode(0o777)).unwrap();
    assert_eq!(cache(&skill, &data, &[]), "miss");
    open(&data.join("artifacts"));
    // The one nobody asked for: the event is answered without it, and that is said.
    let said = cache(&skill, &data, &[]);
    assert!(said.starts_with("unusable: the artifact cache") && said.contains("others may write it"), "{said}");
    let ran = Ran::of(run(&skill, &data).args(["--event", "x"]));
    assert!(ran.shows("compiled anew, the cache is unusable: the artifact cache"), "{}", ran.stderr);
    assert_eq!(ran.answer(), "42\n");
    // The one that was asked for.
    let elsewhere = here.join("elsewhere");
    let args = ["--cache", elsewhere.to_str().unwrap()];
    assert_eq!(cache(&skill, &data, &args), "miss");
    assert_eq!(cache(&skill, &data, &args), "hit");
    open(&elsewhere);
    let report = report(&skill, &data, &args);
    assert_eq!((&report["error"]["kind"], &report["cache"]), (&Json::from("usage"), &Json::Null));
    let refusal = Ran::of(run(&skill, &data).args(["--event", "x"]).args(args)).refusal();
    assert!(refusal.starts_with("error: --cache: ") && refusal.contains("chmod go=rX"), "{refusal}");
}
