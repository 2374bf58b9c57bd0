//! The skill in C, built by clang and run.

mod support;

use std::fs;

use support::skills::build;
use support::{COMPILERS, Ran, clang, folder, inspect, root, run, skill};

#[test]
fn it_runs_without_an_allocator() {
    if !clang() {
        return;
    }
    for compiler in COMPILERS {
        let data = folder(&format!("c-{compiler}")).join("data");
        let ran = Ran::of(run(&skill("c-example"), &data).args(["--event", "example", "--compiler", compiler]));
        assert!(ran.stderr.starts_with("[info] Hello from WASM!\nused: host_calls=4 "), "{}", ran.stderr);
        assert_eq!(ran.answer(), "my_value\n");
        let mut other = run(&skill("c-example"), &data);
        let refusal = Ran::of(other.args(["--event", "exampl", "--compiler", compiler])).refusal();
        assert!(refusal.contains("the one event of this skill is `example`"), "{refusal}");
    }
}

#[test]
fn it_exports_its_memory_and_its_handler_and_nothing_else() {
    if !clang() {
        return;
    }
    let seen = Ran::of(inspect(&skill("c-example")).arg("--json")).json();
    assert_eq!(seen["exports"], serde_json::json!(["skill_on_event"]));
    assert_eq!(seen["other_exports"], serde_json::json!(["memory"]));
    let imports: Vec<&str> =
        seen["imports"].as_array().unwrap().iter().map(|it| it["name"].as_str().unwrap()).collect();
    assert_eq!(imports, ["host_memory_set", "host_memory_get", "host_log", "host_set_error"]);
}

/// The seed document's C ends with the example. The skill has it in a file of its own, to the letter.
#[test]
fn it_is_built_of_c_alone() {
    if !clang() {
        return;
    }
    let folder = folder("c-copy");
    for file in ["example.c", "skill.c", "skill.toml"] {
        fs::copy(root().join("skills/c-example").join(file), folder.join(file)).unwrap();
    }
    let copy = build(&folder, &["--out", folder.join("copy.wasm").to_str().unwrap()]);
    assert_eq!(fs::read(copy).unwrap(), fs::read(skill("c-example")).unwrap(), "where it is built makes no difference");
}
