//! Mistakes on the command line. Each is answered with what to do.

mod support;

use std::fs;
use std::path::Path;
use std::process::Command;

use support::{Ran, folder, inspect, root, run, skill};

/// A skill's file, arguments behind `--event x`, and what the answer says.
type Mistake<'a> = (&'a Path, &'a [&'a str], &'a [&'a str]);

#[test]
fn each_is_answered_with_what_to_do() {
    let folder = folder("mistakes");
    let (notes, summarize, webhook) = (skill("notes"), skill("summarize"), skill("webhook"));
    let source = root().join("skills/notes");
    let (nothing, text) = (folder.join("nothing.wasm"), folder.join("text.wasm"));
    fs::write(&text, "(module)").unwrap();
    let mistakes: [Mistake<'_>; 25] = [
        (&source, &[], &["is a folder", "give its .wasm", "cargo xtask run-skill"]),
        (&nothing, &[], &["nothing.wasm", "there is no such file", "cargo xtask build-skill"]),
        (&text, &[], &["error[invalid_module]", "this is not a WebAssembly binary"]),
        (&notes, &["--data", "{text"], &["'--data <JSON>'", "this is not JSON", "line 1 column 2"]),
        (&notes, &["--data", "milk"], &["a string needs its quotes: '\"text\"'"]),
        (&notes, &["--dta", "1"], &["'--dta'", "a similar argument exists: '--data'", "--help"]),
        (&notes, &["--compiler", "llvm"], &["no compiler `llvm`", "it has: cranelift"]),
        (&notes, &["--memory-mib", "0"], &["--memory-mib", "1..=4096"]),
        (&notes, &["--memory-mib", "lots"], &["--memory-mib", "invalid digit"]),
        (&notes, &["--memory-mib", "1"], &["error[out_of_memory]", "are needed, the limit is 1048576"]),
        (&notes, &["--deadline-ms", "0"], &["--deadline-ms", "not in 1.."]),
        (&notes, &["--fuel", "0"], &["--fuel", "not in 1.."]),
        (&notes, &["--config", "colour=red"], &["no setting `colour`", "its manifest names none"]),
        (&summarize, &["--config", "sentence=3"], &["no setting `sentence`", "did you mean `sentences`?"]),
        (&summarize, &["--config", "sentences=few"], &["`sentences` must be of type integer", "it is a string"]),
        (&summarize, &["--config", "sentences"], &["write it as KEY=JSON"]),
        (&summarize, &["--ai-url", "http://127.0.0.1:1/v1"], &["--ai-model"]),
        (&summarize, &["--ai-url", "localhost", "--ai-model", "m"], &["--ai-url", "write `https://host/v1`"]),
        (&webhook, &["--secret", "WEBHOOK_TOKEN"], &["--secret WEBHOOK_TOKEN", "environment variable `WEBHOOK_TOKEN`"]),
        (&webhook, &["--secret", "WEBHOOK_TOKN"], &["--secret WEBHOOK_TOKN", "in its manifest: WEBHOOK_TOKEN"]),
        (&webhook, &["--allow-http", "http://127.0.0.1/"], &["--allow-http", "a host, as `host` or `host:port`"]),
        (&webhook, &["--allow-http", "*.example.com"], &["--allow-http", "it has more than a host and a port"]),
        (&webhook, &["--data-dir", "."], &["'--data-dir <DIR>' cannot be used multiple times"]),
        (&notes, &["--event", "y"], &["'--event <TYPE>' cannot be used multiple times"]),
        (&notes, &["more.wasm"], &["unexpected argument 'more.wasm'"]),
    ];
    for (file, args, words) in mistakes {
        let refusal = Ran::of(run(file, &folder.join("data")).args(["--event", "x"]).args(args)).refusal();
        for word in words {
            assert!(refusal.contains(word), "{args:?}: `{word}` is not in: {refusal}");
        }
        assert!(refusal.starts_with("error"), "{refusal}");
    }
}

#[test]
fn a_data_folder_that_cannot_be_one_is_named() {
    let folder = folder("mistakes-data");
    let file = folder.join("file");
    fs::write(&file, "x").unwrap();
    let refusal = Ran::of(run(&skill("notes"), &file).args(["--event", "x"])).refusal();
    assert!(refusal.starts_with("error: --data-dir: ") && refusal.contains("cannot create its folder"), "{refusal}");
    let data = folder.join("data");
    fs::create_dir(&data).unwrap();
    fs::write(data.join("memory.redb"), "something else of mine, and longer than a header would be".repeat(20))
        .unwrap();
    let refusal = Ran::of(run(&skill("notes"), &data).args(["--event", "x"])).refusal();
    assert!(refusal.contains("it is not a redb file") && refusal.contains("choose another path"), "{refusal}");
}

#[test]
fn secrets_are_not_shown_by_what_refuses_them() {
    let folder = folder("mistakes-secret");
    for (value, why) in [("tiny4", "shorter than 8 bytes"), ("zebra\u{7}crossing", "not printable ASCII")] {
        let mut command = run(&skill("webhook"), &folder.join("data"));
        let ran = Ran::of(command.args(["--event", "x", "--secret", "WEBHOOK_TOKEN"]).env("WEBHOOK_TOKEN", value));
        assert!(!ran.shows(value) && !ran.shows("zebra"));
        let refusal = ran.refusal();
        assert!(refusal.contains("--secret WEBHOOK_TOKEN") && refusal.contains(why), "{refusal}");
    }
    let mut command = run(&skill("summarize"), &folder.join("data"));
    command.args(["--event", "x", "--ai-url", "http://127.0.0.1:1/v1", "--ai-model", "m"]).env("CIS_AI_KEY", "tiny4");
    let ran = Ran::of(&mut command);
    assert!(!ran.shows("tiny4"));
    assert!(ran.refusal().contains("CIS_AI_KEY"));
}

#[test]
fn inspect_says_what_to_do_too() {
    let folder = folder("mistakes-inspect");
    let source = root().join("skills/notes");
    let refusal = Ran::of(&mut inspect(&source)).refusal();
    assert!(refusal.contains("cargo xtask inspect-skill"), "{refusal}");
    let refusal = Ran::of(&mut inspect(&folder.join("nothing.wasm"))).refusal();
    assert!(refusal.contains("there is no such file"), "{refusal}");
    let refusal = Ran::of(inspect(&source.join("src/lib.rs")).arg("--json")).refusal();
    assert_eq!(refusal.lines().count(), 1, "{refusal}");
    assert!(refusal.contains("this is not a WebAssembly binary"), "{refusal}");
}

#[test]
fn help_is_no_mistake() {
    for args in
        [&["--help"][..], &["run", "--help"], &["run", "--json", "--help"], &["inspect", "--help"], &["--version"]]
    {
        let ran = Ran::of(Command::new(env!("CARGO_BIN_EXE_cis-skill")).args(args));
        assert_eq!(ran.stderr, "");
        assert!(ran.answer().contains("cis-skill"));
    }
    let nothing = Ran::of(&mut Command::new(env!("CARGO_BIN_EXE_cis-skill"))).refusal();
    assert!(nothing.contains("Usage: cis-skill <COMMAND>"), "{nothing}");
}

#[test]
fn a_reader_that_has_gone_is_an_error_and_no_panic() {
    for args in [&["--event", "note.list"][..], &["--event", "note.list", "--json"]] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let output =
            run(&skill("notes"), &folder("mistakes-pipe").join("data")).args(args).stdout(writer).output().unwrap();
        let ran = Ran::ended(output);
        assert_eq!((ran.code, ran.shows("panicked")), (Some(1), false), "{ran:?}");
    }
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let ran = Ran::ended(inspect(&skill("notes")).stdout(writer).output().unwrap());
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(1), ""));
}
