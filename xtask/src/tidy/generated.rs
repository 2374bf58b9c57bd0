//! Rules about what is generated from the ABI crate: the header and the tables of the ABI document say what it says.

use crate::abi_doc;
use crate::tidy::Finding;
use crate::tidy::files::File;

const HEADER: &str = "crates/cis-skill-sdk/include/cis_skill.h";
const DOCUMENT: &str = "docs/abi.md";
const CEILINGS: &str = "crates/cis-wasm-abi/src/ceilings.rs";

/// The header in the checkout is the one that would be generated now.
pub(crate) fn header_is_fresh(files: &[File], fresh: &str) -> Vec<Finding> {
    if text_of(files, HEADER) == Some(fresh) {
        return Vec::new();
    }
    vec![Finding::new(HEADER, "does not say what the ABI crate says; run `cargo xtask c-header`")]
}

/// The tables in the document are the ones that would be generated now.
pub(crate) fn abi_document_is_fresh(files: &[File]) -> Vec<Finding> {
    let (Some(document), Some(ceilings)) = (text_of(files, DOCUMENT), text_of(files, CEILINGS)) else {
        return vec![Finding::new(DOCUMENT, format!("it or {CEILINGS} is missing"))];
    };
    match abi_doc::refreshed(document, ceilings) {
        Ok(fresh) if fresh == document => Vec::new(),
        Ok(_) => vec![Finding::new(DOCUMENT, "does not say what the ABI crate says; run `cargo xtask abi-doc`")],
        Err(problem) => vec![Finding::new(DOCUMENT, problem)],
    }
}

fn text_of<'a>(files: &'a [File], path: &str) -> Option<&'a str> {
    files.iter().find(|file| file.path == path)?.text.as_deref()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::files::tests::file;

    #[test]
    fn an_old_header_is_found() {
        assert!(header_is_fresh(&[file(HEADER, "new")], "new").is_empty());
        assert_eq!(header_is_fresh(&[file(HEADER, "old")], "new").len(), 1);
        assert_eq!(header_is_fresh(&[], "new").len(), 1);
    }

    #[test]
    fn an_old_document_is_found() {
        let document = include_str!("../../../docs/abi.md");
        let ceilings = file(CEILINGS, include_str!("../../../crates/cis-wasm-abi/src/ceilings.rs"));
        let check = |document: &str| abi_document_is_fresh(&[file(DOCUMENT, document), ceilings.clone()]).len();
        assert_eq!(check(document), 0);
        assert_eq!(check(&document.replace("`denied`", "`refused`")), 1);
        assert_eq!(check(&document.replace("generated: levels", "levels")), 1);
        assert_eq!(abi_document_is_fresh(std::slice::from_ref(&ceilings)).len(), 1);
    }
}
