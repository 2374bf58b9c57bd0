//! What the tests share: skills built from their sources, the program under test, and servers on loopback.
// Every test file is a program of its own and uses a part of this.
#![allow(dead_code, unreachable_pub, unused_imports)]

pub mod browser;
#[path = "../../../cis-wasm-host/tests/support/server.rs"]
pub mod server;
pub mod skills;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use serde_json::Value as Json;

pub use skills::{clang, skill, wat};

/// The compilers of this build, by name.
pub const COMPILERS: &[&str] = if cfg!(feature = "singlepass") { &["cranelift", "singlepass"] } else { &["cranelift"] };

/// A folder for one test, empty.
pub fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("cli").join(name);
    if folder.exists() {
        fs::remove_dir_all(&folder).unwrap();
    }
    fs::create_dir_all(&folder).unwrap();
    folder
}

/// The checkout.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap().to_owned()
}

/// `cis-skill inspect FILE`, to be added to.
pub fn inspect(skill: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cis-skill"));
    command.arg("inspect").arg(skill);
    command
}

/// `cis-skill run FILE --data-dir DIR`, to be added to. What the environment could give the program is taken away.
pub fn run(skill: &Path, data_dir: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cis-skill"));
    command.arg("run").arg(skill).arg("--data-dir").arg(data_dir);
    command.env_remove("CIS_AI_KEY").env_remove("WEBHOOK_TOKEN").current_dir(data_dir.parent().unwrap());
    command
}

/// What came of a program.
#[derive(Debug)]
pub struct Ran {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Ran {
    /// Runs a program to its end.
    pub fn of(command: &mut Command) -> Ran {
        Ran::ended(command.output().unwrap())
    }

    pub fn ended(output: Output) -> Ran {
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Ran { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
    }

    /// What was printed on stdout by a program that did what it should.
    #[track_caller]
    pub fn answer(self) -> String {
        assert_eq!(self.code, Some(0), "{}", self.stderr);
        self.stdout
    }

    /// What was printed on stderr by a program that refused.
    #[track_caller]
    pub fn refusal(self) -> String {
        assert_eq!((self.code, self.stdout.as_str()), (Some(1), ""), "{}", self.stderr);
        self.stderr
    }

    /// The one object on stdout.
    #[track_caller]
    pub fn json(&self) -> Json {
        assert_eq!(self.stdout.lines().count(), 1, "not one line: {self:?}");
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// Whether a text is anywhere in what was printed.
    pub fn shows(&self, text: &str) -> bool {
        self.stdout.contains(text) || self.stderr.contains(text)
    }
}

/// Waits until something that must come true has. A test that waits here for ever is one that failed.
pub fn eventually(mut is_so: impl FnMut() -> bool) {
    while !is_so() {
        std::thread::sleep(Duration::from_millis(1));
    }
}
