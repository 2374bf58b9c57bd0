//! What of an artifact nobody asks for.
//!
//! For every instruction an artifact says which machine code it became, which is nearly half of it. Only the offsets of
//! frames in a trace of calls are found there, and a [`Frame`](crate::Frame) has none: its function is found elsewhere. For
//! every access to memory it says that a fault there is one out of bounds, which is what the engine takes a fault for that it
//! knows nothing of. So that is neither written nor hashed nor read, nor in memory for as long as the skill is loaded. Nor is there
//! anything else then that only a compiler needs: a skill runs from this form of its code also when it was compiled just now.
//!
//! Invariant: what is left differs from what the engine wrote in nothing else, but that calls are [linked](super::link). An
//! artifact that is not laid out as expected stays as it is.

use std::ops::Deref;

use bytes::Bytes;
use wasmer::sys::vm::TrapCode;
use wasmer_compiler::ArtifactBuild;
use wasmer_compiler::serialize::{MetadataHeader, SerializableCompilation, SerializableModule};

use super::link;
use super::room::Room;

/// Bytes before the engine's archive: what says that it is one, and its length.
const BEFORE: usize = ArtifactBuild::MAGIC_HEADER.len() + MetadataHeader::LEN;
const _: () = assert!(BEFORE.is_multiple_of(MetadataHeader::ALIGN), "the archive is aligned where the artifact is");

/// An artifact without that, of what the engine has just compiled.
pub(crate) struct Slim(Room);

impl Slim {
    /// Its bytes.
    pub(crate) fn into_bytes(self) -> Bytes {
        Bytes::from_owner(self.0)
    }
}

impl Deref for Slim {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

/// The artifact without that, if it is one. It is the engine's own, which has just written it.
pub(crate) fn slim(artifact: &[u8]) -> Option<Slim> {
    if !ArtifactBuild::is_deserializable(artifact) {
        return None;
    }
    let aligned = Room::holding(&[artifact]).ok()?;
    let len = MetadataHeader::parse(&aligned[ArtifactBuild::MAGIC_HEADER.len()..]).ok()?;
    let archive = aligned[BEFORE..].get(..len)?;
    // Checked although the engine has just written it: that is safe code, and once in the life of an artifact.
    let archived = SerializableModule::archive_from_slice_checked(archive).ok()?;
    let mut module = SerializableModule::deserialize_from_archive(archived).ok()?;
    let SerializableCompilation::Rkyv(compilation) = &mut module.compilation else { return None };
    for (function, info) in compilation.function_bodies.values().zip(compilation.function_frame_info.values_mut()) {
        info.address_map.instructions = Vec::new();
        info.traps.retain(|trap| !goes_without_saying(&function.body, trap.code_offset as usize, trap.trap_code));
    }
    link::link(compilation);
    let archive = module.serialize().ok()?;
    let header = MetadataHeader::new(archive.len()).into_bytes();
    Room::holding(&[&ArtifactBuild::MAGIC_HEADER[..], &header, &archive]).ok().map(Slim)
}

/// Whether it is an access out of bounds that the system signals as one. An instruction that does nothing but trap is not.
fn goes_without_saying(code: &[u8], at: usize, trap: TrapCode) -> bool {
    /// How the instructions begin that are there to be illegal.
    const ILLEGAL: [[u8; 2]; 3] = [[0x0f, 0x0b], [0x0f, 0xb9], [0x0f, 0xff]];
    let code = code.get(at..).and_then(<[u8]>::first_chunk);
    cfg!(target_arch = "x86_64")
        && trap == TrapCode::HeapAccessOutOfBounds
        && code.is_some_and(|code| !ILLEGAL.contains(code))
}

#[cfg(test)]
mod tests {
    use wasmer_compiler::FunctionExtent;

    use super::*;
    use crate::backend::Backend;
    use crate::check::Shape;
    use crate::compiler::Compiler;
    use crate::limits::Limits;

    fn module(artifact: &[u8]) -> SerializableModule {
        let archive = Room::holding(&[&artifact[BEFORE..]]).unwrap();
        let archived = SerializableModule::archive_from_slice_checked(&archive).unwrap();
        SerializableModule::deserialize_from_archive(archived).unwrap()
    }

    /// What is the same in both.
    fn parts(module: &SerializableModule) -> impl PartialEq + std::fmt::Debug {
        let SerializableCompilation::Rkyv(compilation) = &module.compilation else { panic!("another format") };
        (
            compilation.function_bodies.values().map(|function| function.body.len()).collect::<Vec<_>>(),
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

    fn relocations(module: &SerializableModule) -> usize {
        let SerializableCompilation::Rkyv(compilation) = &module.compilation else { panic!("another format") };
        compilation.function_relocations.values().map(Vec::len).sum()
    }

    fn traps(module: &SerializableModule) -> Vec<(u32, TrapCode)> {
        let SerializableCompilation::Rkyv(compilation) = &module.compilation else { panic!("another format") };
        let traps = compilation.function_frame_info.values().flat_map(|info| &info.traps);
        traps.map(|trap| (trap.code_offset, trap.trap_code)).collect()
    }

    /// The machine code of all functions as the engine has it in memory.
    fn code(artifact: &[u8]) -> Vec<Vec<u8>> {
        let engine = Backend::engine_to_load(&Limits::default(), &Shape::default());
        // SAFETY: the engine wrote it just now, and nothing of it is run.
        let module = unsafe {
            wasmer::Module::deserialize_unchecked(&engine, Bytes::from_owner(Room::holding(&[artifact]).unwrap()))
        };
        let module = module.unwrap();
        let functions = module.sys_artifact().unwrap().finished_function_extents().unwrap();
        let code = functions.iter().map(|(_, FunctionExtent { ptr, length })| {
            // SAFETY: the function lies there for as long as there is the module.
            unsafe { std::slice::from_raw_parts(ptr.0.cast::<u8>(), *length) }.to_vec()
        });
        code.collect()
    }

    #[test]
    fn only_what_nobody_asks_for_is_left_out() {
        let wasm = wat::parse_str(
            r#"(module (memory 1) (data (i32.const 0) "data")
                 (func $divide (param i32) (result i32)
                   (i32.div_u (i32.load (local.get 0)) (call $again (i32.load offset=8 (local.get 0)))))
                 (func (nop) (nop))
                 (func $again (param i32) (result i32)
                   (if (local.get 0) (then (drop (call $divide (local.get 0))) (drop (call $again (local.get 0)))))
                   (unreachable)))"#,
        )
        .unwrap();
        for compiler in Compiler::ALL {
            let name = compiler.name();
            let engine = compiler.backend().engine(&Limits::default(), &Shape::default(), wasm.len());
            let artifact = compiler.backend().compile(&engine, &wasm).unwrap().serialize().unwrap();
            let slim = slim(&artifact).unwrap();
            assert!(slim.len() < artifact.len(), "{name}");
            let (before, after) = (module(&artifact), module(&slim));
            assert_eq!(parts(&before), parts(&after), "{name}");
            assert!(instructions(&before) > 0 && instructions(&after) == 0, "{name}");
            assert_eq!(*super::slim(&slim).unwrap(), *slim);
            // Linked here or by the engine: it is the same code.
            assert_eq!(code(&artifact), code(&slim), "{name}");
            let (traps, left) = (traps(&before), traps(&after));
            let said = |(_, code): &&(u32, TrapCode)| *code != TrapCode::HeapAccessOutOfBounds;
            assert_eq!(traps.iter().filter(said).collect::<Vec<_>>(), left.iter().filter(said).collect::<Vec<_>>());
            if cfg!(target_arch = "x86_64") && *compiler == Compiler::Cranelift {
                assert!(relocations(&before) == 3 && relocations(&after) == 0, "{name}");
                assert!(left.len() + 2 == traps.len(), "{name}");
            }
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
