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

/// Builds a skill, says how large it is, and gives the path of the module.
pub(crate) fn build(repo: &Repo, args: &BuildSkill) -> Result<PathBuf, Failure> {
    let Built { name, module, bytes, manifest_bytes } = pack(repo, args)?;
    eprintln!("{name}: {bytes} bytes, the manifest's {manifest_bytes} among them");
    Ok(module)
}

/// The module of a skill's folder, built now, or the file itself.
pub(crate) fn module_of(repo: &Repo, path: &Path) -> Result<PathBuf, Failure> {
    if !path.is_dir() {
        return Ok(path.to_owned());
    }
    Ok(pack(repo, &BuildSkill { path: path.to_owned(), out: None, keep_names: false })?.module)
}

/// A skill's module, as it was written.
struct Built {
    name: String,
    module: PathBuf,
    bytes: usize,
    manifest_bytes: usize,
}

fn pack(repo: &Repo, args: &BuildSkill) -> Result<Built, Failure> {
    let source = Source::open(&args.path)?;
    let linked = match source.language {
        Language::C => c::compile(repo, &source)?,
        Language::Rust => rust::compile(repo, &source)?,
    };
    let names = if args.keep_names { Names::Kept } else { Names::Stripped };
    let finished = module::finish(&linked, &source.manifest, names)
        .map_err(|problem| Failure::at(&source.folder, format!("its module cannot be packed: {problem}")))?;
    let out = args.out.clone().unwrap_or_else(|| output_path(repo, &source.name));
    replace(&out, &finished)?;
    Ok(Built { name: source.name, module: out, bytes: finished.len(), manifest_bytes: source.manifest.len() })
}

/// Where a skill's module goes when nobody says otherwise.
fn output_path(repo: &Repo, name: &str) -> PathBuf {
    repo.target().join("skills").join(format!("{name}.wasm"))
}

/// Puts a module in its place. Whoever reads the old one meanwhile reads all of it.
fn replace(path: &Path, module: &[u8]) -> Result<(), Failure> {
    if std::fs::read(path).is_ok_and(|old| old == module) {
        return Ok(());
    }
    let aside = path.with_extension(format!("{}.tmp", std::process::id()));
    repo::write(&aside, module)?;
    std::fs::rename(&aside, path).map_err(|error| Failure::at(path, error))
}
