//! Skills, built from their sources as their authors build them.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};

use super::{Ran, root};

/// The module of a sample skill, in the place where `cargo xtask build-skill` leaves it. Built once in a test program.
#[track_caller]
pub fn skill(name: &str) -> PathBuf {
    static BUILT: Mutex<BTreeMap<String, PathBuf>> = Mutex::new(BTreeMap::new());
    // A test that could not build its skill takes no other down: the map is whole at any time.
    let mut built = BUILT.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(module) = built.get(name) {
        return module.clone();
    }
    let module = build(&root().join("skills").join(name), &[]);
    built.insert(name.to_owned(), module.clone());
    module
}

/// Builds a skill's folder and gives the path of its module, which is the last line on stdout.
#[track_caller]
pub fn build(folder: &Path, args: &[&str]) -> PathBuf {
    let stdout = Ran::of(xtask().arg("build-skill").arg(folder).args(args)).answer();
    PathBuf::from(stdout.lines().last().expect("the path is printed"))
}

/// The repository's own commands. `cargo test --workspace` has built them beside the program under test; a test of this
/// package alone builds them now where they are missing.
pub fn xtask() -> Command {
    let built = Path::new(env!("CARGO_BIN_EXE_cis-skill"))
        .with_file_name("xtask")
        .with_extension(std::env::consts::EXE_EXTENSION);
    let mut command = if built.is_file() {
        Command::new(built)
    } else {
        let mut cargo = Command::new(env!("CARGO"));
        cargo.args(["run", "--quiet", "--package", "xtask", "--"]);
        cargo
    };
    // As `cargo xtask` says it: this test's own package is another.
    command.env("CARGO_MANIFEST_DIR", root().join("xtask")).current_dir(root());
    command
}

/// A module from its text, with a manifest in it if the text has one.
#[track_caller]
pub fn wat(folder: &Path, name: &str, text: &str) -> PathBuf {
    let module = folder.join(name).with_extension("wasm");
    fs::write(&module, wat::parse_str(text).unwrap_or_else(|error| panic!("{error}"))).unwrap();
    module
}

/// Whether C can be built here. Where it must be, it not being so is a failure.
pub fn clang() -> bool {
    let found = ["clang", "wasm-ld"].iter().all(|tool| Command::new(tool).arg("--version").output().is_ok());
    if !found {
        assert!(std::env::var_os("CIS_REQUIRE_CLANG").is_none(), "clang or wasm-ld is missing");
        // Past the capture of a test's output: this is to be seen although the test passes.
        let note = b"LEFT OUT: clang or wasm-ld is missing; `apt-get install clang lld`\n";
        std::io::stderr().write_all(note).unwrap();
    }
    found
}
