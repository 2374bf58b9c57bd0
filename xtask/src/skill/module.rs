//! The finished module: no custom sections but the manifest and, when asked for, the names.

use cis_wasm_abi::MANIFEST_SECTION;
use wasm_encoder::{CustomSection, Module, RawSection};
use wasmparser::{Parser, Payload};

/// What becomes of the names of functions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Names {
    Kept,
    Stripped,
}

/// Drops the custom sections of a linked module and adds the manifest.
pub(crate) fn finish(linked: &[u8], manifest: &str, names: Names) -> wasmparser::Result<Vec<u8>> {
    let mut module = Module::new();
    for payload in Parser::new(0).parse_all(linked) {
        let payload = payload?;
        let kept = match &payload {
            Payload::CustomSection(section) => section.name() == "name" && names == Names::Kept,
            _ => true,
        };
        if let (Some((id, range)), true) = (payload.as_section(), kept) {
            // Offsets in `linked`, so they fit what indexes it.
            let data = &linked[range.start as usize..range.end as usize];
            module.section(&RawSection { id, data });
        }
    }
    module.section(&CustomSection { name: MANIFEST_SECTION.into(), data: manifest.as_bytes().into() });
    Ok(module.finish())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn linked() -> Vec<u8> {
        let mut module = Module::new();
        let mut types = wasm_encoder::TypeSection::new();
        types.ty().function([wasm_encoder::ValType::I32], []);
        module.section(&types);
        for name in ["name", "producers", MANIFEST_SECTION] {
            module.section(&CustomSection { name: name.into(), data: b"\0\x02\x01x".into() });
        }
        module.finish()
    }

    fn sections(module: &[u8]) -> Vec<(String, Vec<u8>)> {
        Parser::new(0)
            .parse_all(module)
            .filter_map(|payload| match payload.unwrap() {
                Payload::CustomSection(section) => Some((section.name().to_owned(), section.data().to_vec())),
                Payload::TypeSection(section) => Some(("type".to_owned(), vec![section.count() as u8])),
                _ => None,
            })
            .collect()
    }

    #[test]
    fn the_manifest_is_the_only_custom_section() {
        let module = finish(&linked(), "name = \"x\"\n", Names::Stripped).unwrap();
        let manifest = (MANIFEST_SECTION.to_owned(), b"name = \"x\"\n".to_vec());
        assert_eq!(sections(&module), [("type".to_owned(), vec![1]), manifest]);
    }

    #[test]
    fn names_stay_when_asked_for() {
        let module = finish(&linked(), "", Names::Kept).unwrap();
        let found: Vec<String> = sections(&module).into_iter().map(|(name, _)| name).collect();
        assert_eq!(found, ["type", "name", MANIFEST_SECTION]);
    }

    #[test]
    fn what_is_no_module_is_refused() {
        assert!(finish(b"", "", Names::Kept).is_err());
        assert!(finish(b"\0asm\x01\0\0\0\x01\xFF", "", Names::Kept).is_err());
    }
}
