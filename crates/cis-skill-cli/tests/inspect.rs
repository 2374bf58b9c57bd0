//! `inspect`: what a skill says of itself, without running it.

mod support;

use std::fs;

use serde_json::{Value as Json, json};
use support::{Ran, folder, inspect, skill, wat};

#[test]
fn people_see_sizes_imports_exports_permissions_and_limits() {
    let webhook = skill("webhook");
    let seen = Ran::of(&mut inspect(&webhook)).answer();
    let bytes = fs::metadata(&webhook).unwrap().len();
    for line in [
        &format!("{bytes} bytes, "),
        "\nimports\n",
        "\n  env.host_http_post: needs permissions.http.allow with the URL's host\n",
        "\n  env.host_log: needs nothing\n",
        "\nexports\n",
        "\n  skill_on_event: Handles one event.",
        "\nmemory\n  1088 KiB at the start, no maximum of its own\n",
        "\nmanifest\n  name = \"webhook\"\n",
        "\n  allow = [\"hooks.example.com\", \"http://127.0.0.1:*\", \"http://localhost:*\"]\n",
        "\n  name = \"WEBHOOK_TOKEN\"\n",
        "\n  http_requests = 4\n",
        // Defaults are written out.
        "\n  deadline_ms = 5000\n",
        "\n  [config.url]\n",
    ] {
        assert!(seen.contains(line), "{line:?} is not in: {seen}");
    }
    assert!(seen.lines().all(|line| line == line.trim_end()), "{seen:?}");
}

#[test]
fn programs_see_the_same() {
    let notes = skill("notes");
    let ran = Ran::of(inspect(&notes).arg("--json"));
    let seen = ran.json();
    let names: Vec<&String> = seen.as_object().unwrap().keys().collect();
    let all =
        ["bytes", "exports", "functions", "imports", "limits", "manifest", "memory_pages", "other_exports", "sections"];
    assert_eq!(names, all);
    assert_eq!(seen["bytes"], fs::metadata(&notes).unwrap().len());
    let imports = seen["imports"].as_array().unwrap();
    let needs = |name: &str| imports.iter().find(|import| import["name"] == name).map(|import| import["needs"].clone());
    assert_eq!(needs("host_memory_set"), Some(json!("needs permissions.memory = \"read-write\"")));
    assert_eq!(needs("host_http_post"), None, "what it does not use, it does not import");
    assert!(seen["exports"].as_array().unwrap().contains(&json!("skill_on_event")));
    assert_eq!(seen["limits"]["memory_mib"], 64);
    assert_eq!(seen["limits"]["host_calls"], 10_000);
    // The manifest is one, and its section is the module's only custom one.
    let sections: Vec<&str> =
        seen["sections"].as_array().unwrap().iter().map(|it| it["name"].as_str().unwrap()).collect();
    assert_eq!(sections.iter().filter(|name| name.contains('.')).collect::<Vec<_>>(), [&"cis.skill.manifest"]);
    let manifest: cis_skill::Manifest = seen["manifest"].as_str().unwrap().parse().unwrap();
    assert_eq!((manifest.name.as_str(), manifest.limits), ("notes", cis_skill::SkillLimits::default()));
}

/// It need not be possible to load a skill, to look at it.
#[test]
fn a_strange_module_is_shown_and_does_not_touch_the_terminal() {
    let folder = folder("inspect-strange");
    let strange = r#"(module
        (@custom "\1b[2J" "x")
        (import "wasi_snapshot_preview1" "fd_write" (func))
        (import "env" "host_exec\0d\0a" (func))
        (memory (export "m\1b]0;x\07") 1 2)
        (func (export "other")))"#;
    let module = wat(&folder, "strange", strange);
    let seen = Ran::of(&mut inspect(&module)).answer();
    assert!(!seen.contains(|char: char| char.is_control() && char != '\n'), "{seen:?}");
    for line in [
        "  \\u{1b}[2J\n",
        "  wasi_snapshot_preview1.fd_write: the host does not have this: the skill will be refused\n",
        "  env.host_exec\\r\\n: the host does not have this",
        "  other: not called by the host\n",
        "  64 KiB at the start, at most 128 KiB\n",
        "no manifest: the skill has its own memory, its log and the default limits\n",
        "  memory_mib = 64\n",
    ] {
        assert!(seen.contains(line), "{line:?} is not in: {seen}");
    }
    let seen = Ran::of(inspect(&module).arg("--json")).json();
    assert_eq!((&seen["manifest"], &seen["memory_pages"]), (&Json::Null, &json!({ "initial": 1, "maximum": 2 })));
}

#[test]
fn a_manifest_that_is_wrong_is_named_with_its_line() {
    let module = wat(
        &folder("inspect-manifest"),
        "wrong",
        r#"(module (@custom "cis.skill.manifest" "name = \"wrong\"\nversion = \"1.0.0\"\n[permisions]"))"#,
    );
    let refusal = Ran::of(&mut inspect(&module)).refusal();
    assert!(refusal.contains("line 3: unknown key `permisions`; did you mean `permissions`?"), "{refusal}");
}
