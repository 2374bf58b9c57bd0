//! An object that is run.
//!
//! Invariants: what the engine is given is read only when nothing can write it any more. A [`Mapped`] is there for as long as
//! the engine, the unwinder or an instance know of its code; see [`Code`](crate::program::Code) and
//! [`Home`](crate::native::Home), which have it.

use std::sync::OnceLock;

use bytes::Bytes;
use wasmer::sys::vm::FunctionBodyPtr;
use wasmer::sys::vm::libcalls::function_pointer;
use wasmer::{Engine, Module};
use wasmer_compiler::serialize::{SerializableCompilation, SerializableModule};
use wasmer_compiler::{
    ArtifactCreate, CodeMemory, FrameInfosVariant, FunctionExtent, GlobalFrameInfoRegistration, LIBCALLS_ELF,
    register_frame_info,
};
use wasmer_types::entity::PrimaryMap;

use super::room::Runnable;
use super::{Parts, Room, WORD, begins, words};

/// The code of a module, where it is run.
///
/// Its fields are dropped in this order: what tells of the memory goes before the memory.
pub(crate) struct Mapped {
    /// What the engine knows of traps in it, from the first one on.
    known: OnceLock<Option<GlobalFrameInfoRegistration>>,
    /// Owns no code. It told the unwinder of frames, and takes that back when it is dropped.
    _unwind: CodeMemory,
    memory: Runnable,
    parts: Parts,
}

/// The module of an object, and its code.
///
/// # Safety
///
/// [`link`](super::link()) made the object in a process of this very program, on this processor. No code of the module
/// runs any more when the `Mapped` is dropped, nor later.
pub(crate) unsafe fn load(engine: &Engine, mut room: Room) -> Result<(Module, Mapped), String> {
    let parts = Parts::of(&room).ok_or("it is no object")?;
    settle(&mut room, &parts).ok_or("a place in it is none")?;
    let mut memory =
        room.runnable(&parts.code).map_err(|error| format!("its code cannot be made executable: {error}"))?;
    let mut unwind = CodeMemory::new();
    if !parts.unwind.is_empty() {
        unwind.unwind_registry_mut().publish_eh_frame(Some(&memory[parts.unwind.clone()]))?;
    }
    let given = Bytes::from_owner(memory.clone()).slice(parts.engine.clone());
    // SAFETY: what the engine reads there is its own archive, and where the functions are that it belongs to.
    let module = unsafe { Module::deserialize_unchecked(engine, given) }.map_err(|error| error.to_string())?;
    // It has copied what it keeps of that: the module's data, above all.
    memory.give_up(&parts.engine);
    Ok((module, Mapped { known: OnceLock::new(), _unwind: unwind, memory, parts }))
}

/// Makes addresses of the places that are to be some, now that it is known where the object is.
fn settle(room: &mut Room, parts: &Parts) -> Option<()> {
    let base = room.as_ptr().addr() as u64;
    let bytes = room.bytes();
    for at in parts.based.clone().step_by(WORD) {
        let place = word(bytes, at)?;
        add(bytes, place, base)?;
    }
    if parts.libcalls.is_empty() {
        return Some(());
    }
    let mut functions = Vec::new();
    for libcall in LIBCALLS_ELF.values() {
        let number = *libcall as usize;
        functions.resize(functions.len().max(number + 1), None);
        functions[number] = Some(function_pointer(*libcall) as u64);
    }
    for at in parts.libcalls.clone().step_by(2 * WORD) {
        let (place, number) = (word(bytes, at)?, word(bytes, at + WORD)?);
        add(bytes, place, (*functions.get(number)?)?)?;
    }
    Some(())
}

fn word(bytes: &[u8], at: usize) -> Option<usize> {
    Some(u32::from_le_bytes(*bytes.get(at..)?.first_chunk()?) as usize)
}

fn add(bytes: &mut [u8], at: usize, what: u64) -> Option<()> {
    let address = bytes.get_mut(at..)?.first_chunk_mut()?;
    *address = u64::from_le_bytes(*address).wrapping_add(what).to_le_bytes();
    Some(())
}

impl Mapped {
    /// Has the engine know the traps and the functions of this code, of this module, from now on. Before that it can tell
    /// neither what a trap in it was nor where. It is a lot to know, and most code never traps.
    pub(crate) fn know_traps(&self, module: &Module) {
        self.known.get_or_init(|| match self.traps(module) {
            Ok(known) => known,
            Err(why) => {
                tracing::error!(target: "cis_skill", "the engine is not told of a skill's traps: {why}");
                None
            }
        });
    }

    fn traps(&self, module: &Module) -> Result<Option<GlobalFrameInfoRegistration>, String> {
        let archive = &self.memory[self.parts.traps.clone()];
        // SAFETY: the caller of `load` promised that this is of the engine's; it is checked all the same.
        let traps = unsafe { SerializableModule::deserialize(archive) }.map_err(|error| error.to_string())?;
        let SerializableCompilation::Rkyv(compilation) = traps.compilation else {
            return Err("they are not in its archive".into());
        };
        let artifact = module.sys_artifact().ok_or("the module is another engine's")?;
        let infos = FrameInfosVariant::Owned(compilation.function_frame_info);
        let functions = self.functions().collect::<PrimaryMap<_, _>>().into_boxed_slice();
        Ok(register_frame_info(artifact.create_module_info(), &functions, Some(infos), 0, None))
    }

    /// Where the object begins.
    #[cfg(test)]
    pub(super) fn base(&self) -> usize {
        self.memory.as_ptr().expose_provenance()
    }

    /// Where each function is.
    pub(super) fn functions(&self) -> impl Iterator<Item = FunctionExtent> {
        let lengths = words(&self.memory[self.parts.lengths.clone()]).map(|length| length as usize);
        let code = &self.memory[self.parts.code.clone()];
        begins(lengths.clone()).zip(lengths).map(|(begin, length)| {
            let ptr = FunctionBodyPtr(code[begin..][..length].as_ptr().cast());
            FunctionExtent { ptr, length }
        })
    }
}

#[cfg(all(test, target_arch = "x86_64", target_os = "linux"))]
mod tests {
    use std::fs;
    use std::ops::Range;

    use super::*;
    use crate::backend::Backend;
    use crate::check::Shape;
    use crate::limits::Limits;
    use crate::object::{HEADROOM, PAGE, link};
    use crate::{ArtifactCache, CacheOutcome, Compiler, ErrorKind, TrapKind, WasmRuntime};

    /// Traps in the second function, by a call through the table, where it is given bytes.
    fn skill() -> Vec<u8> {
        let data = "x".repeat(8 * PAGE);
        wat::parse_str(format!(
            r#"(module (memory (export "memory") 2) (table funcref (elem $trap))
        (data (i32.const 0) "{data}")
        (data (i32.const 65536) "answer")
        (func $trap (param i32) (drop (i32.div_u (i32.const 1) (i32.const 0))))
        (func (export "skill_on_event") (param i32 i32 i32 i32) (result i64)
            (if (local.get 3) (then (call_indirect (param i32) (i32.const 0) (i32.const 0))))
            (i64.const 0x1_0000_0000_0006)))"#
        ))
        .unwrap()
    }

    fn room(compiler: Compiler) -> Room {
        let wasm = skill();
        let engine = compiler.backend().engine(&Limits::default(), &Shape::default(), wasm.len());
        let artifact = compiler.backend().compile(&engine, &wasm).unwrap().serialize().unwrap();
        link(&artifact).unwrap().into_room()
    }

    fn loaded(room: Room) -> Result<(Module, Mapped), String> {
        let engine = Backend::engine_to_load(&Limits::default(), &Shape::default());
        // SAFETY: no code of it is ever run.
        unsafe { load(&engine, room) }
    }

    #[test]
    fn compiled_or_found_it_runs_where_it_is() {
        for compiler in Compiler::ALL {
            let dir = tempfile::tempdir().unwrap();
            let wasm = skill();
            for outcome in [CacheOutcome::Miss { stored: true }, CacheOutcome::Hit] {
                let cache = ArtifactCache::open(dir.path().join("artifacts")).unwrap();
                let runtime = WasmRuntime::builder().compiler(*compiler).cache(cache).build().unwrap();
                let skill = runtime.load_skill(&wasm).unwrap();
                assert_eq!(skill.cache_outcome(), outcome);
                let code = skill.program().code();
                let mapped = code.mapped.as_ref().unwrap();
                assert_eq!(skill.run("test", b"").result.unwrap(), &b"answer"[..], "{}", compiler.name());
                assert!(mapped.known.get().is_none(), "nothing has trapped yet");
                let error = skill.run("test", b"trap").result.unwrap_err();
                let ErrorKind::Trapped { trap: TrapKind::DivisionByZero, frames, .. } = error.kind() else {
                    panic!("{}: {error}", compiler.name())
                };
                let frames: Vec<_> = frames.iter().map(|frame| (frame.index, frame.name.as_deref())).collect();
                assert_eq!(frames, [(0, Some("trap")), (1, None)], "{}", compiler.name());
            }
        }
    }

    #[test]
    fn memory_is_written_or_run() {
        let (_module, mapped) = loaded(room(Compiler::Cranelift)).unwrap();
        let begin = mapped.memory.as_ptr().addr();
        let at = |part: &Range<usize>| begin + part.start..begin + part.end;
        let maps = fs::read_to_string("/proc/self/maps").unwrap();
        let access = |part: Range<usize>| {
            let access = maps.lines().filter_map(|line| {
                let (range, rest) = line.split_once(' ')?;
                let (from, to) = range.split_once('-')?;
                let [from, to] = [from, to].map(|place| usize::from_str_radix(place, 16).unwrap());
                (from < part.end && part.start < to).then(|| rest[..4].to_owned())
            });
            access.collect::<Vec<_>>()
        };
        assert_eq!(access(at(&mapped.parts.code)), ["r-xp"]);
        assert_eq!(access(begin..at(&mapped.parts.code).start), ["r--p"]);
    }

    #[test]
    fn what_the_engine_has_copied_is_not_kept() {
        let (_module, mapped) = loaded(room(Compiler::Cranelift)).unwrap();
        let given = mapped.parts.engine.clone();
        let pages = given.start.next_multiple_of(PAGE)..given.end / PAGE * PAGE;
        assert!(pages.len() >= 7 * PAGE && mapped.memory[pages].iter().all(|byte| *byte == 0));
    }

    #[test]
    fn what_leads_out_of_it_is_refused() {
        assert!(loaded(Room::holding(&[0; HEADROOM]).unwrap()).is_err());
        let whole = room(Compiler::Cranelift);
        let parts = Parts::of(&whole).unwrap();
        let head = HEADROOM + super::super::MAGIC.len();
        for at in (head..HEADROOM + super::super::HEAD).step_by(WORD) {
            let mut beyond = Room::holding(&whole).unwrap();
            beyond.bytes()[at..at + WORD].copy_from_slice(&(whole.len() as u32 + 1).to_le_bytes());
            assert_eq!(loaded(beyond).err().as_deref(), Some("it is no object"), "{at}");
        }
        for list in [parts.based.start, parts.libcalls.start, parts.libcalls.start + WORD] {
            let mut beyond = Room::holding(&whole).unwrap();
            beyond.bytes()[list..list + WORD].copy_from_slice(&(whole.len() as u32 - 7).to_le_bytes());
            assert_eq!(loaded(beyond).err().as_deref(), Some("a place in it is none"), "{list}");
        }
        let short = Room::holding(&whole[..whole.len() - 1]).unwrap();
        assert_eq!(loaded(short).err().as_deref(), Some("it is no object"));
    }
}
