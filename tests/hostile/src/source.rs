//! From a case's source to a module.

use std::io::ErrorKind;
use std::path::Path;
use std::process::Command;

use cis_wasm_abi::{EXPORTS, IMPORTS};

use crate::case::Source;
use crate::generate::generate;

/// A case that cannot be tried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Unbuilt {
    /// A tool is missing, and nobody insists on it.
    Untried(String),
    /// The source is wrong.
    Failed(String),
}

impl Source {
    /// Builds the module. `folder` is where compilers leave their files.
    pub(crate) fn build(&self, folder: &Path) -> Result<Vec<u8>, Unbuilt> {
        match self {
            Source::Wat(text) => wat::parse_str(text).map_err(|error| Unbuilt::Failed(error.to_string())),
            Source::Generated(name, numbers) => generate(name, numbers).map_err(Unbuilt::Failed),
            Source::C(text) => c(text, folder),
            Source::Rust(text) => rust(text, folder),
        }
    }
}

fn c(text: &str, folder: &Path) -> Result<Vec<u8>, Unbuilt> {
    let (source, undefined, module) = (folder.join("guest.c"), folder.join("imports.txt"), folder.join("guest.wasm"));
    write(&source, text)?;
    write(&undefined, &IMPORTS.map(|import| format!("{}\n", import.name)).concat())?;
    let mut clang = Command::new("clang");
    clang.args([
        "--target=wasm32",
        "-O1",
        "-ffreestanding",
        "-nostdlib",
        "-mbulk-memory",
        "-Wall",
        "-Wno-infinite-recursion",
    ]);
    clang.args(["-Wl,--no-entry", "-Wl,--stack-first"]);
    clang.arg(format!("-Wl,--allow-undefined-file={}", undefined.display()));
    for export in EXPORTS {
        clang.arg(format!("-Wl,--{}={}", if export.required { "export" } else { "export-if-defined" }, export.name));
    }
    clang.arg("-o").arg(&module).arg(&source);
    built(&mut clang, &module, "CIS_REQUIRE_CLANG")
}

fn rust(text: &str, folder: &Path) -> Result<Vec<u8>, Unbuilt> {
    let (source, module) = (folder.join("guest.rs"), folder.join("guest.wasm"));
    write(&source, text)?;
    let mut rustc = Command::new(std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()));
    rustc.args(["--edition=2024", "--crate-type=cdylib", "--target=wasm32-unknown-unknown", "-Copt-level=1"]);
    rustc.args(["-Cpanic=abort", "-Cstrip=symbols", "-o"]).arg(&module).arg(&source);
    built(&mut rustc, &module, "CIS_REQUIRE_RUSTC")
}

fn write(path: &Path, text: &str) -> Result<(), Unbuilt> {
    std::fs::write(path, text).map_err(|error| Unbuilt::Failed(format!("{}: {error}", path.display())))
}

fn built(command: &mut Command, module: &Path, required: &str) -> Result<Vec<u8>, Unbuilt> {
    let program = command.get_program().to_string_lossy().into_owned();
    match command.output() {
        Err(error) if error.kind() == ErrorKind::NotFound && std::env::var_os(required).is_none() => {
            Err(Unbuilt::Untried(format!("`{program}` is not installed")))
        }
        Err(error) => Err(Unbuilt::Failed(format!("`{program}`: {error}"))),
        Ok(output) if !output.status.success() => {
            Err(Unbuilt::Failed(format!("`{program}`: {}", String::from_utf8_lossy(&output.stderr))))
        }
        Ok(_) => std::fs::read(module).map_err(|error| Unbuilt::Failed(format!("{}: {error}", module.display()))),
    }
}
