//! Skills built by many at once, and by the command that the README begins with.

mod support;

use std::fs;
use std::process::{Command, Stdio};
use std::thread;

use support::skills::xtask;
use support::{Ran, folder, root, skill};

/// Test programs, editors and people build the same skill at the same time. None of them gets half a module.
#[test]
fn builds_at_the_same_time_do_not_trample_on_each_other() {
    let whole = fs::read(skill("counter")).unwrap();
    let folder = folder("build-at-once");
    let out = folder.join("counter.wasm");
    thread::scope(|scope| {
        let builds: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(|| {
                    let ran =
                        Ran::of(xtask().arg("build-skill").arg(root().join("skills/counter")).arg("--out").arg(&out));
                    assert_eq!(ran.answer().trim_end(), out.to_str().unwrap());
                    assert_eq!(fs::read(&out).unwrap(), whole);
                })
            })
            .collect();
        while !builds.iter().all(|build| build.is_finished()) {
            if let Ok(seen) = fs::read(&out) {
                assert_eq!(seen.len(), whole.len(), "half a module was seen");
            }
        }
    });
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 1, "nothing else is left behind");
}

/// The lines of the README's first block of commands.
fn first_commands() -> Vec<String> {
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    let block = readme.split("```sh\n").nth(1).unwrap().split("```").next().unwrap();
    block.lines().map(str::to_owned).collect()
}

#[test]
fn the_first_commands_of_the_readme_do_what_it_says() {
    let data = folder("readme").join("data");
    let stdout = |line: &String| {
        let words = line.strip_prefix("cargo xtask ").unwrap_or_else(|| panic!("not one of ours: {line}"));
        // The words are a person's, for a shell.
        let mut shell = Command::new("sh");
        shell.args(["-c", &format!("exec \"$0\" \"$@\" {words} --data-dir \"$DATA\"")]);
        let xtask = xtask();
        shell.arg(xtask.get_program()).args(xtask.get_args()).envs(xtask.get_envs().filter_map(|(k, v)| Some((k, v?))));
        Ran::of(shell.env("DATA", &data).current_dir(root()).stdin(Stdio::null())).answer()
    };
    let lines = first_commands();
    let [add, list] = &lines[..] else { panic!("two commands: {lines:?}") };
    let note = r#"{"id":1,"text":"buy milk"}"#;
    assert_eq!(stdout(add), format!("{note}\n"));
    assert_eq!(stdout(list), format!("{{\"notes\":[{note}]}}\n"));
}
