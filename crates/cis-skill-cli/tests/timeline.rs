//! The timeline of a recorded event, looked at in a browser.

mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::json;
use support::browser::browser;
use support::{COMPILERS, Ran, folder, root, run, skill, wat};

/// Draws a recording.
#[track_caller]
fn trace(recording: &Path) -> PathBuf {
    let page = recording.with_extension("html");
    let mut command = Command::new(env!("CARGO_BIN_EXE_cis-skill"));
    let ran = Ran::of(command.arg("trace").arg(recording).arg("--html").arg(&page));
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(0), ""), "{ran:?}");
    page
}

/// Records an event of a skill.
#[track_caller]
fn recorded(name: &str, skill: &Path, args: &[&str]) -> PathBuf {
    let folder = folder(&format!("timeline-{name}"));
    let file = folder.join("it.cisrec");
    let ran = Ran::of(run(skill, &folder.join("data")).args(args).arg("--record").arg(&file));
    assert!(file.is_file(), "{ran:?}");
    file
}

/// What a skill may say to break out of the page that shows it.
const MARKUP: &str = r#"</pre><script>document.title="owned"</script><img src=x onerror="document.title='owned'"><style>*{display:none}</style>'">"#;

/// A skill that logs its event's data, uses it as a key, and fails with it.
fn parrot() -> PathBuf {
    let text = r#"(module
        (import "env" "host_log" (func $log (param i32 i32 i32)))
        (import "env" "host_memory_get" (func $get (param i32 i32) (result i64)))
        (import "env" "host_memory_set" (func $set (param i32 i32 i32 i32) (result i32)))
        (import "env" "host_set_error" (func $set_error (param i32 i32)))
        (memory (export "memory") 1)
        (func (export "skill_on_event") (param i32 i32) (param $data i32) (param $len i32) (result i32)
            (call $log (i32.const 2) (local.get $data) (local.get $len))
            (drop (call $set (local.get $data) (local.get $len) (local.get $data) (local.get $len)))
            (drop (call $get (local.get $data) (local.get $len)))
            (drop (call $get (i32.const 0) (i32.const 0)))
            (call $set_error (local.get $data) (local.get $len))
            (i32.const 7)))"#;
    wat(&folder("timeline-module"), "parrot", text)
}

/// A page with a script at its end, which the page itself would forbid.
fn probed(page: &Path, script: &str) -> PathBuf {
    let text = fs::read_to_string(page).unwrap();
    let policy = text.lines().find(|line| line.contains("Content-Security-Policy")).expect("the page has a policy");
    let text = text.replace(policy, "").replace("</body>", &format!("<script>{script}</script></body>"));
    let copy = page.with_file_name("probed.html");
    fs::write(&copy, text).unwrap();
    copy
}

#[test]
fn a_page_shows_every_call_where_it_was() {
    let add = ["--event", "note.add", "--data", r#"{"text":"buy milk"}"#];
    let page = trace(&recorded("notes", &skill("notes"), &add));
    let text = fs::read_to_string(&page).unwrap();
    for said in ["<title>notes: note.add</title>", "note 1 added", "buy milk", "host_memory_set"] {
        assert!(text.contains(said), "`{said}` is not on the page");
    }
    assert!(
        !text.contains("http://") && !text.contains("https://") && !text.contains("<script"),
        "it needs nothing else"
    );

    let Some(browser) = browser() else { return };
    let shown = browser.show(&page);
    assert!(!shown.complained);
    assert_eq!(shown.dom.matches("class=\"bar call ").count(), 4);
    // Laid out: each bar has a size, lies within its track, begins no earlier than the one before, and opens on a click.
    let probe = r#"
        const bars = [...document.querySelectorAll(".bar.call")].map((bar) => bar.getBoundingClientRect());
        const tracks = [...document.querySelectorAll("details .track")].map((track) => track.getBoundingClientRect());
        const inside = bars.every((bar, at) => bar.width >= 2 && bar.height > 8 && bar.left >= tracks[at].left - 1
            && bar.right <= tracks[at].right + 3);
        const sorted = bars.every((bar, at) => at == 0 || bar.left >= bars[at - 1].left);
        const first = document.querySelector("details");
        const closed = first.querySelector("pre").checkVisibility();
        first.querySelector("summary").click();
        const opened = first.querySelector("pre").checkVisibility();
        const fuel = document.querySelector("svg.fuel polyline").getBoundingClientRect();
        document.title = `bars=${bars.length} inside=${inside} sorted=${sorted} click=${!closed && opened} `
            + `fuel=${fuel.width > 100 && fuel.height > 10}`;"#;
    let probed = browser.show(&probed(&page, probe));
    assert!(!probed.complained);
    let title = "<title>bars=4 inside=true sorted=true click=true fuel=true</title>";
    assert!(probed.dom.contains(title), "{}", &probed.dom[..probed.dom.len().min(20_000)]);
}

#[test]
fn what_a_skill_says_stays_text() {
    let page = trace(&recorded("parrot", &parrot(), &["--event", MARKUP, "--data", &json!(MARKUP).to_string()]));
    let text = fs::read_to_string(&page).unwrap();
    assert!(!text.contains("<script") && !text.contains("<img"), "{text}");

    let Some(browser) = browser() else { return };
    assert!(!browser.show(&page).complained);
    // Even where scripts are let: there is none but this one, and what was said is there to read.
    let said = json!(json!(MARKUP).to_string()).to_string().replace('<', "\\u003c");
    let probe = format!(
        r#"
        const said = {said};
        const blocks = [...document.querySelectorAll("pre")].filter((block) => block.textContent.includes(said));
        const line = [...document.querySelectorAll(".lines div")].some((line) => line.textContent.includes(said));
        const owned = document.title == "owned" || document.images.length > 0 || document.scripts.length != 1
            || document.querySelectorAll("style").length != 1;
        document.title = `blocks=${{blocks.length}} line=${{line}} owned=${{owned}} `
            + `calls=${{document.querySelectorAll(".bar.call").length}} refused=${{document.querySelectorAll(".bar.refused").length}}`;"#
    );
    let probed = browser.show(&probed(&page, &probe));
    assert!(!probed.complained);
    // In the arguments of four calls (one has two) and one reply, the event's data, and the error.
    let title = "<title>blocks=8 line=true owned=false calls=5 refused=1</title>";
    assert!(probed.dom.contains(title), "{}", &probed.dom[probed.dom.find("<title>").unwrap()..][..200]);
}

#[test]
fn a_call_that_was_refused_for_its_arguments_is_shown() {
    let text = r#"(module
        (import "env" "host_log" (func $log (param i32 i32 i32)))
        (import "env" "host_memory_get" (func $get (param i32 i32) (result i64)))
        (memory (export "memory") 1) (data (i32.const 0) "ok\ff\fe")
        (func (export "skill_on_event") (param i32 i32) (param $data i32) (param $len i32) (result i32)
            (call $log (i32.const 1) (i32.const 0) (i32.const 2))
            (drop (call $get (i32.const 2) (i32.const 2)))
            (call $log (i32.const 1) (i32.const 0) (i32.const 2))
            (i32.const 0)))"#;
    let file = recorded("refused", &wat(&folder("timeline-refusing"), "refusing", text), &["--event", "go"]);
    let page = fs::read_to_string(trace(&file)).unwrap();
    let at = |text: &str| page.find(text).unwrap_or_else(|| panic!("`{text}` is not on the page"));
    let refusal = at("the key is not UTF-8");
    assert!(at("<i>0</i>host_log") < refusal && refusal < at("<i>1</i>host_log"));

    let mut replay = Command::new(env!("CARGO_BIN_EXE_cis-skill"));
    let ran = Ran::of(replay.arg("replay").arg(&file).args(["--until", "1"]));
    assert!(ran.stderr.contains("host_memory_get: not_utf8: the key is not UTF-8"), "{ran:?}");
    let mut replay = Command::new(env!("CARGO_BIN_EXE_cis-skill"));
    let ran = Ran::of(replay.arg("replay").arg(&file));
    assert!(ran.stderr.contains("the same as recorded"), "{ran:?}");
}

#[test]
fn the_readme_shows_lines_that_work() {
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    let section = readme.split("## Record, replay, look\n").nth(1).expect("the README has the section");
    let shown = section.split("```sh\n").nth(1).unwrap().split("```").next().unwrap();
    assert_eq!(shown.lines().count(), 5);
    let folder = folder("timeline-readme");
    for line in shown.lines() {
        let command = line.split(" #").next().unwrap().trim().strip_prefix("cargo xtask ").unwrap();
        // The words in quotes of these lines have no spaces but in JSON.
        let mut quoted = false;
        let words: Vec<String> = command
            .split(|char| {
                quoted ^= char == '\'';
                char == ' ' && !quoted
            })
            .map(|word| word.replace('\'', ""))
            .collect();
        if words.iter().any(|word| word == "singlepass") && !COMPILERS.contains(&"singlepass") {
            continue;
        }
        let mut cli = Command::new(env!("CARGO_BIN_EXE_cis-skill"));
        cli.current_dir(&folder).arg(words[0].strip_suffix("-skill").unwrap());
        match words[1].strip_prefix("skills/") {
            Some(name) => cli.arg(skill(name)),
            None => cli.arg(&words[1]),
        };
        let ran = Ran::of(cli.args(&words[2..]));
        assert_eq!(ran.code, Some(0), "{line}: {ran:?}");
    }
    assert!(folder.join("milk.html").is_file());
}

#[test]
fn a_page_that_does_wrong_is_noticed() {
    let Some(browser) = browser() else { return };
    let folder = folder("timeline-control");
    let page = folder.join("wrong.html");
    fs::write(&page, "<!doctype html><html><body><script>nothing.there()</script></body></html>").unwrap();
    assert!(browser.show(&page).complained);
    let policy = "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'\">";
    fs::write(&page, format!("<!doctype html><html><head>{policy}</head><body><script>1</script></body></html>"))
        .unwrap();
    assert!(browser.show(&page).complained);
}

#[test]
fn a_recording_that_is_none_is_refused() {
    let file = folder("timeline-none").join("none.cisrec");
    fs::write(&file, "CISR").unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_cis-skill"));
    let refusal = Ran::of(command.arg("trace").arg(&file).arg("--html").arg(file.with_extension("html"))).refusal();
    assert!(refusal.contains("none.cisrec: the recording is damaged"), "{refusal}");
    assert!(!file.with_extension("html").exists());
}
