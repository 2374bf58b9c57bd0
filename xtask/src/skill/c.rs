//! C skills: every `.c` file of the folder, with clang and the linker of LLVM.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::Command;

use cis_wasm_abi::{EXPORTS, IMPORTS};

use crate::failure::Failure;
use crate::process;
use crate::repo::{self, Repo};
use crate::skill::source::Source;

/// Builds the skill and gives the module that the linker made.
pub(crate) fn compile(repo: &Repo, source: &Source) -> Result<Vec<u8>, Failure> {
    ensure_installed("clang", "clang")?;
    ensure_installed("wasm-ld", "lld")?;
    let files = c_files(source)?;
    // A folder of its own: the same skill may be built twice at the same time.
    let work = repo.target().join("skills").join(format!("{}.{}.tmp", source.name, std::process::id()));
    let module = link(repo, source, &files, &work);
    // What cannot be removed is left; it is in `target`.
    drop(std::fs::remove_dir_all(&work));
    module
}

fn link(repo: &Repo, source: &Source, files: &[PathBuf], work: &Path) -> Result<Vec<u8>, Failure> {
    let undefined = work.join("imports.txt");
    repo::write(&undefined, IMPORTS.map(|import| format!("{}\n", import.name)).concat())?;
    let module = work.join("linked.wasm");

    let mut clang = Command::new("clang");
    // Copies become `memory.copy`, so that none needs a `memcpy` to link against.
    clang.args(["--target=wasm32", "-O2", "-ffreestanding", "-nostdlib", "-mbulk-memory", "-Wall"]);
    clang.arg("-I").arg(repo.c_include()).arg("-I").arg(&source.folder);
    // A stack below the data traps when it overflows, one above it would write over the data.
    clang.args(["-Wl,--no-entry", "-Wl,--stack-first"]);
    // An import that no host has is an error here, and not only when the skill is loaded.
    clang.arg(format!("-Wl,--allow-undefined-file={}", undefined.display()));
    for export in EXPORTS {
        let flag = if export.required { "export" } else { "export-if-defined" };
        clang.arg(format!("-Wl,--{flag}={}", export.name));
    }
    clang.arg("-o").arg(&module).args(files);
    let status = clang.status().map_err(|error| process::not_started(&clang, &error))?;
    if !status.success() {
        return Err(Failure::at(&source.folder, "clang could not build it; what is wrong stands above"));
    }
    std::fs::read(&module).map_err(|error| Failure::at(&module, error))
}

fn ensure_installed(program: &str, package: &str) -> Result<(), Failure> {
    match Command::new(program).arg("--version").output() {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == ErrorKind::NotFound => Err(Failure::said(format!(
            "C skills need `{program}`, which is not on the path; install it: `apt-get install {package}` on Debian and \
             Ubuntu, LLVM's own packages elsewhere"
        ))),
        Err(error) => Err(Failure::said(format!("`{program}` could not be started: {error}"))),
    }
}

fn c_files(source: &Source) -> Result<Vec<PathBuf>, Failure> {
    let entries = std::fs::read_dir(&source.folder).map_err(|error| Failure::at(&source.folder, error))?;
    let mut files: Vec<PathBuf> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|extension| extension == "c"))
        .collect();
    // The order that a folder is read in is not the same everywhere, and the module's bytes follow it.
    files.sort();
    if files.is_empty() {
        return Err(Failure::at(&source.folder, "it has a skill.toml but neither a Cargo.toml nor a .c file"));
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_program_says_what_to_install() {
        let failure = ensure_installed("cis-no-such-clang", "clang").unwrap_err();
        assert!(failure.message().contains("apt-get install clang"), "{}", failure.message());
    }
}
