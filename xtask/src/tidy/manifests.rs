//! Rules about how crates are set up.

use crate::tidy::files::File;
use crate::tidy::{Finding, code};

/// The roots of the crates without any `unsafe`.
const SAFE_ROOTS: [&str; 6] = [
    "crates/cis-skill-manifest/src/lib.rs",
    "crates/cis-skill/src/lib.rs",
    "crates/cis-wasm-abi/src/lib.rs",
    "crates/cis-wasm-host/src/lib.rs",
    "tests/hostile/src/lib.rs",
    "xtask/src/main.rs",
];

/// Lints are set once, in the root manifest. The skills are a workspace of their own, with lints of its own.
pub(crate) fn lints_are_inherited(file: &File) -> Vec<Finding> {
    let Some(text) = file.text_if("Cargo.toml") else { return Vec::new() };
    let manifest: toml::Table = match text.parse() {
        Ok(manifest) => manifest,
        Err(error) => return vec![Finding::new(&file.path, format!("not TOML: {error}"))],
    };
    let inherited = manifest.get("lints").and_then(|lints| lints.get("workspace")).and_then(toml::Value::as_bool);
    if !manifest.contains_key("package") || inherited == Some(true) || manifest.contains_key("workspace") {
        return Vec::new();
    }
    vec![Finding::new(&file.path, "does not inherit the lints; add `[lints]` with `workspace = true`")]
}

/// The compiler itself keeps `unsafe` out of the crates that need none.
pub(crate) fn unsafe_is_forbidden(files: &[File]) -> Vec<Finding> {
    let forbids = |root: &str| {
        let mut texts = files.iter().filter(|file| file.path == root).filter_map(|file| file.text.as_deref());
        texts.any(|text| code::only(text).contains("#![forbid(unsafe_code)]"))
    };
    SAFE_ROOTS
        .into_iter()
        .filter(|root| !forbids(root))
        .map(|root| Finding::new(root, "does not say `#![forbid(unsafe_code)]`"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::files::tests::file;

    #[test]
    fn a_crate_with_lints_of_its_own_is_found() {
        let check = |text: &str| lints_are_inherited(&file("crates/x/Cargo.toml", text)).len();
        assert_eq!(check("[package]\nname = \"x\""), 1);
        assert_eq!(check("[package]\nname = \"x\"\n[lints.rust]\nmissing_docs = \"allow\""), 1);
        assert_eq!(check("[package"), 1);
        assert_eq!(check("[package]\nname = \"x\"\n[lints]\nworkspace = true"), 0);
        assert_eq!(check("[workspace]\nmembers = []"), 0);
    }

    #[test]
    fn a_crate_that_lets_unsafe_in_is_found() {
        let files = SAFE_ROOTS.map(|root| file(root, "//! A crate.\n#![forbid(unsafe_code)]\n"));
        assert!(unsafe_is_forbidden(&files).is_empty());
        let mut commented = files.clone();
        commented[0].text = Some("// #![forbid(unsafe_code)]".to_owned());
        assert_eq!(unsafe_is_forbidden(&commented)[0].place, SAFE_ROOTS[0]);
        assert_eq!(unsafe_is_forbidden(&files[1..]).len(), 1);
    }
}
