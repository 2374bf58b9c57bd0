//! Builds a skill's folder into one `.wasm`: code, manifest, and nothing else.

mod c;
mod module;
mod rust;
mod source;

use std::path::{Path, PathBuf};

use crate::cli::BuildSkill;
use crate::failure::Failure;
use crate::repo::{self, Repo};
use crate::skill::module::Names;
use crate::skill::source::{Language, Source};

/// Builds a skill and gives the path of the module.
pub(crate) fn build(repo: &Repo, args: &BuildSkill) -> Result<PathBuf, Failure> {
    let source = Source::open(&args.path)?;
    let compiled = match source.language {
        Language::C => c::compile(repo, &source)?,
        Language::Rust => rust::compile(repo, &source)?,
    };
    let linked = std::fs::read(&compiled).map_err(|error| Failure::at(&compiled, error))?;
    let names = if args.keep_names { Names::Kept } else { Names::Stripped };
    let finished = module::finish(&linked, &source.manifest, names)
        .map_err(|problem| Failure::at(&compiled, format!("not a module that can be packed: {problem}")))?;
    let out = args.out.clone().unwrap_or_else(|| output_path(repo, &source.name));
    repo::write(&out, &finished)?;
    eprintln!("{}: {} bytes, the manifest's {} among them", source.name, finished.len(), source.manifest.len());
    Ok(out)
}

/// Where a skill's module goes when nobody says otherwise.
fn output_path(repo: &Repo, name: &str) -> PathBuf {
    repo.target().join("skills").join(format!("{name}.wasm"))
}

/// The module of a skill's folder, built now, or the file itself.
pub(crate) fn module_of(repo: &Repo, path: &Path) -> Result<PathBuf, Failure> {
    if !path.is_dir() {
        return Ok(path.to_owned());
    }
    build(repo, &BuildSkill { path: path.to_owned(), out: None, keep_names: false })
}
