//! What of an artifact nobody asks for.
//!
//! For every instruction an artifact says which machine code it became, which is nearly half of it. Only the offsets of
//! frames in a trace of calls are found there, and a [`Frame`](crate::Frame) has none: its function is found elsewhere. So
//! that half is neither written nor hashed nor read, nor in memory for as long as the skill is loaded.
//!
//! Invariant: what is left differs from what the engine wrote in nothing else. An artifact that is not laid out as expected
//! stays as it is.

use memmap2::{MmapMut, MmapOptions};
use wasmer_compiler::ArtifactBuild;
use wasmer_compiler::serialize::{MetadataHeader, SerializableCompilation, SerializableModule};

/// Bytes before the engine's archive: what says that it is one, and its length.
const BEFORE: usize = ArtifactBuild::MAGIC_HEADER.len() + MetadataHeader::LEN;
const _: () = assert!(BEFORE.is_multiple_of(MetadataHeader::ALIGN), "the archive is aligned where the artifact is");

/// The artifact without that half, if it has one.
pub(super) fn slim(artifact: &[u8]) -> Option<Vec<u8>> {
    if !ArtifactBuild::is_deserializable(artifact) {
        return None;
    }
    let aligned = aligned(artifact)?;
    let len = MetadataHeader::parse(&aligned[ArtifactBuild::MAGIC_HEADER.len()..]).ok()?;
    let archive = aligned[BEFORE..].get(..len)?;
    // Checked although the engine has just written it: that is safe code, and once in the life of an artifact.
    let archived = SerializableModule::archive_from_slice_checked(archive).ok()?;
    let mut module = SerializableModule::deserialize_from_archive(archived).ok()?;
    let SerializableCompilation::Rkyv(compilation) = &mut module.compilation else { return None };
    for function in compilation.function_frame_info.values_mut() {
        function.address_map.instructions = Vec::new();
    }
    let archive = module.serialize().ok()?;
    let header = MetadataHeader::new(archive.len()).into_bytes();
    Some([&ArtifactBuild::MAGIC_HEADER[..], &header, &archive].concat())
}

/// The same bytes, beginning at a page.
fn aligned(bytes: &[u8]) -> Option<MmapMut> {
    let mut aligned = MmapOptions::new().len(bytes.len()).populate().map_anon().ok()?;
    aligned.copy_from_slice(bytes);
    Some(aligned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::Shape;
    use crate::compiler::Compiler;
    use crate::limits::Limits;

    fn module(artifact: &[u8]) -> SerializableModule {
        let archive = aligned(&artifact[BEFORE..]).unwrap();
        let archived = SerializableModule::archive_from_slice_checked(&archive).unwrap();
        SerializableModule::deserialize_from_archive(archived).unwrap()
    }

    fn parts(module: &SerializableModule) -> impl PartialEq + std::fmt::Debug {
        let SerializableCompilation::Rkyv(compilation) = &module.compilation else { panic!("another format") };
        (
            compilation.function_bodies.clone(),
            compilation.function_relocations.clone(),
            compilation.function_frame_info.values().map(|info| info.traps.clone()).collect::<Vec<_>>(),
            compilation.custom_sections.clone(),
            compilation.custom_section_relocations.clone(),
            module.data_initializers.clone(),
            module.cpu_features,
        )
    }

    fn instructions(module: &SerializableModule) -> usize {
        let SerializableCompilation::Rkyv(compilation) = &module.compilation else { panic!("another format") };
        compilation.function_frame_info.values().map(|info| info.address_map.instructions.len()).sum()
    }

    #[test]
    fn only_what_nobody_asks_for_is_left_out() {
        let wasm = wat::parse_str(
            r#"(module (memory 1) (data (i32.const 0) "data")
                 (func (param i32) (result i32) (i32.div_u (i32.load (local.get 0)) (call 0 (local.get 0)))))"#,
        )
        .unwrap();
        for compiler in Compiler::ALL {
            let engine = compiler.backend().engine(&Limits::default(), &Shape::default(), wasm.len());
            let artifact = compiler.backend().compile(&engine, &wasm).unwrap().serialize().unwrap();
            let slim = slim(&artifact).unwrap();
            assert!(slim.len() < artifact.len(), "{}", compiler.name());
            let (before, after) = (module(&artifact), module(&slim));
            assert_eq!(parts(&before), parts(&after), "{}", compiler.name());
            assert!(instructions(&before) > 0 && instructions(&after) == 0, "{}", compiler.name());
            assert_eq!(super::slim(&slim).unwrap(), slim);
        }
    }

    #[test]
    fn what_is_no_artifact_stays_as_it_is() {
        for bytes in
            [&b""[..], b"machine code", b"wasmer-universal", b"wasmer-universalWASMER\0\0but not of this version"]
        {
            assert!(slim(bytes).is_none());
        }
    }
}
