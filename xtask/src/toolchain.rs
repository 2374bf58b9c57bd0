//! What has to be installed before guests can be built.

use std::io::ErrorKind;
use std::process::Command;

use crate::failure::Failure;
use crate::process;

/// The target that Rust skills are built for.
pub(crate) const SKILL_TARGET: &str = "wasm32-unknown-unknown";

/// Every target that the tests build guests for.
pub(crate) const TEST_TARGETS: [&str; 2] = [SKILL_TARGET, "wasm32-wasip1"];

/// Installs the targets that are missing.
pub(crate) fn ensure_targets(targets: &[&str]) -> Result<(), Failure> {
    let mut list = Command::new("rustup");
    list.args(["target", "list", "--installed"]);
    let installed = match list.output() {
        Ok(output) if output.status.success() => String::from_utf8_lossy(&output.stdout).into_owned(),
        Err(error) if error.kind() == ErrorKind::NotFound => return ensure_targets_without_rustup(targets),
        Ok(output) => {
            let said = String::from_utf8_lossy(&output.stderr);
            return Err(Failure::said(format!("`{}` failed: {}", process::shown(&list), said.trim_end())));
        }
        Err(error) => return Err(process::not_started(&list, &error)),
    };
    let missing = targets.iter().filter(|target| !installed.lines().any(|line| line == **target));
    for target in missing {
        process::run(Command::new("rustup").args(["target", "add", target]))?;
    }
    Ok(())
}

/// A toolchain from a distribution has no rustup. It can still have the targets.
fn ensure_targets_without_rustup(targets: &[&str]) -> Result<(), Failure> {
    for target in targets {
        let libdir = process::output(Command::new("rustc").args(["--print", "target-libdir", "--target", target]))?;
        if !std::path::Path::new(libdir.trim()).is_dir() {
            return Err(Failure::said(format!(
                "the target {target} is not installed, and there is no rustup to install it with; install rustup, or \
                 your distribution's package with the standard library of {target}"
            )));
        }
    }
    Ok(())
}
