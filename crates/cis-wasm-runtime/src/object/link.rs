//! How an object is made of what the engine has compiled.
//!
//! Left out is what nobody asks for, which is nearly half of an artifact. For every instruction it says which machine code it
//! became: only the offsets of frames in a trace of calls are found there, and a [`Frame`](crate::Frame) has none. For every
//! access to memory it says that a fault there is one out of bounds, which is what the engine takes a fault for that it
//! knows nothing of.
//!
//! Invariant: every place that a [`Link`] names is written to, or there is no object. A wrong distance would be a jump to
//! anywhere.

use std::collections::BTreeSet;
use std::ops::{Deref, Range};
use std::sync::Arc;

use wasmer::sys::vm::TrapCode;
use wasmer_compiler::serialize::{
    MetadataHeader, RkyvSerializableCompilation, SerializableCompilation, SerializableModule,
};
use wasmer_compiler::types::function::FunctionBody;
use wasmer_compiler::types::module::CompileModuleInfo;
use wasmer_compiler::types::relocation::{Relocation, RelocationKind, RelocationTarget};
use wasmer_compiler::types::section::{CustomSection, CustomSectionProtection, SectionIndex};
use wasmer_compiler::types::symbols::ModuleMetadata;
use wasmer_compiler::{ArtifactBuild, LIBCALLS_ELF};
use wasmer_types::entity::{EntityRef, PrimaryMap};
use wasmer_types::{LibCall, ModuleInfo};

use super::{CODE_ALIGNMENT, DATA_ALIGNMENT, HEAD, HEADROOM, PAGE, Parts, Room, WORD, begins};

/// Bytes before the engine's archive: what says that it is one, and its length.
const BEFORE: usize = ArtifactBuild::MAGIC_HEADER.len() + MetadataHeader::LEN;
const _: () = assert!(BEFORE.is_multiple_of(MetadataHeader::ALIGN), "the archive is aligned where the artifact is");

/// Bytes of an address.
const ADDRESS: usize = size_of::<u64>();

/// An object of what the engine has just compiled, behind its headroom.
pub(crate) struct Linked(Room);

impl Linked {
    pub(crate) fn into_room(self) -> Room {
        self.0
    }
}

impl Deref for Linked {
    type Target = [u8];

    /// The object.
    fn deref(&self) -> &[u8] {
        &self.0[HEADROOM..]
    }
}

/// The object of an artifact that the engine has just written. There is none where its code cannot be linked here.
pub(crate) fn link(artifact: &[u8]) -> Option<Linked> {
    if !cfg!(all(target_arch = "x86_64", target_os = "linux")) {
        return None;
    }
    let SerializableModule { compilation, compile_info, data_initializers, cpu_features } = module(artifact)?;
    let SerializableCompilation::Rkyv(mut compilation) = compilation else { return None };
    let traps = traps(&mut compilation, &compile_info)?;
    let metadata = ModuleMetadata {
        compile_info,
        prefix: String::new(),
        data_initializers,
        function_body_lengths: PrimaryMap::new(),
        cpu_features,
    };
    let metadata = metadata.serialize().ok()?;
    let links = Links::of(&compilation)?;
    let plan = Plan::of(&compilation, &links, metadata.len(), traps.len());
    let mut draft = Draft { room: Room::of(plan.parts.code.end).ok()?, based: Vec::new(), libcalls: Vec::new() };
    draft.put(HEADROOM, &plan.parts.head()?)?;
    draft.engine(&compilation, &plan, &metadata)?;
    draft.code(&compilation, &plan)?;
    for link in &links.all {
        draft.link(link, &compilation, &plan)?;
    }
    draft.put(plan.parts.traps.start, &traps)?;
    draft.finish(&plan.parts)
}

/// Which instructions trap, in an archive of the engine's, where it does not go without saying. That is taken out.
fn traps(compilation: &mut RkyvSerializableCompilation, compile_info: &CompileModuleInfo) -> Option<Vec<u8>> {
    let mut function_frame_info = std::mem::take(&mut compilation.function_frame_info);
    for (function, info) in compilation.function_bodies.values().zip(function_frame_info.values_mut()) {
        info.address_map.instructions = Vec::new();
        info.traps.retain(|trap| !goes_without_saying(&function.body, trap.code_offset as usize, trap.trap_code));
    }
    let traps = SerializableModule {
        compilation: SerializableCompilation::Rkyv(RkyvSerializableCompilation {
            function_frame_info,
            ..RkyvSerializableCompilation::default()
        }),
        compile_info: CompileModuleInfo {
            features: compile_info.features.clone(),
            module: Arc::new(ModuleInfo::default()),
            memory_styles: PrimaryMap::new(),
            table_styles: PrimaryMap::new(),
            function_max_stack_usage: PrimaryMap::new(),
        },
        data_initializers: Box::default(),
        cpu_features: 0,
    };
    traps.serialize().ok()
}

/// Whether it is an access out of bounds that the system signals as one. An instruction that does nothing but trap is not.
fn goes_without_saying(code: &[u8], at: usize, trap: TrapCode) -> bool {
    /// How the instructions begin that are there to be illegal.
    const ILLEGAL: [[u8; 2]; 3] = [[0x0f, 0x0b], [0x0f, 0xb9], [0x0f, 0xff]];
    let code = code.get(at..).and_then(<[u8]>::first_chunk);
    trap == TrapCode::HeapAccessOutOfBounds && code.is_some_and(|code| !ILLEGAL.contains(code))
}

/// What has code of its own, and what is read.
#[derive(Clone, Copy)]
enum Owner {
    Function(usize),
    Section(SectionIndex),
}

/// A place in the code that depends on where something else is.
struct Link<'c> {
    owner: Owner,
    relocation: &'c Relocation,
    what: What,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum What {
    /// How far it is: four bytes, for good.
    Distance,
    /// Its address, in eight bytes: where the object is comes on top when it is loaded.
    Address,
    /// The address of a function of the engine's.
    Libcall(LibCall),
}

impl What {
    fn of(relocation: &Relocation) -> Option<Self> {
        match (relocation.kind, relocation.reloc_target) {
            (RelocationKind::X86CallPCRel4 | RelocationKind::PCRel4, _) => Some(What::Distance),
            (RelocationKind::Abs8, RelocationTarget::LibCall(libcall)) => {
                LIBCALLS_ELF.values().any(|known| *known == libcall).then_some(What::Libcall(libcall))
            }
            (RelocationKind::Abs8, _) => Some(What::Address),
            _ => None,
        }
    }
}

/// All links of a module.
struct Links<'c> {
    all: Vec<Link<'c>>,
    /// Whether there is one to a function of the engine's by way of code of the module's own.
    trampolines: bool,
}

impl<'c> Links<'c> {
    fn of(compilation: &'c RkyvSerializableCompilation) -> Option<Self> {
        let all = compilation.function_relocations.values().chain(compilation.custom_section_relocations.values());
        let called = all.flatten().filter_map(|relocation| match (relocation.reloc_target, relocation.kind) {
            (RelocationTarget::LibCall(_), RelocationKind::Abs8) => None,
            (RelocationTarget::LibCall(libcall), _) => Some(libcall as usize),
            _ => None,
        });
        let called: BTreeSet<usize> = called.collect();
        let functions = compilation.function_relocations.iter();
        let functions = functions.map(|(function, relocations)| (Owner::Function(function.index()), relocations));
        let sections = compilation.custom_section_relocations.iter();
        let sections = sections.map(|(section, relocations)| (Owner::Section(section), relocations));
        // There is one to each of the engine's functions, also to some that have no name. Those nobody calls lead nowhere.
        let leads_nowhere = |owner, relocation: &Relocation| match (owner, relocation.reloc_target) {
            (Owner::Section(section), RelocationTarget::LibCall(libcall)) => {
                section == compilation.libcall_trampolines && !called.contains(&(libcall as usize))
            }
            _ => false,
        };
        let links = functions.chain(sections).flat_map(|(owner, relocations)| {
            let relocations = relocations.iter().filter(move |relocation| !leads_nowhere(owner, relocation));
            relocations.map(move |relocation| Some(Link { owner, relocation, what: What::of(relocation)? }))
        });
        Some(Links { all: links.collect::<Option<_>>()?, trampolines: !called.is_empty() })
    }

    fn count(&self, counted: impl Fn(What) -> bool) -> usize {
        self.all.iter().filter(|link| counted(link.what)).count()
    }
}

/// Everything that the engine takes for a function: those of the module, then the trampolines.
fn bodies(compilation: &RkyvSerializableCompilation) -> impl Iterator<Item = &FunctionBody> {
    let RkyvSerializableCompilation {
        function_bodies, function_call_trampolines, dynamic_function_trampolines, ..
    } = compilation;
    function_bodies.values().chain(function_call_trampolines.values()).chain(dynamic_function_trampolines.values())
}

/// How many of each kind of them there are.
fn counts(compilation: &RkyvSerializableCompilation) -> [usize; 3] {
    let RkyvSerializableCompilation {
        function_bodies, function_call_trampolines, dynamic_function_trampolines, ..
    } = compilation;
    [function_bodies.len(), function_call_trampolines.len(), dynamic_function_trampolines.len()]
}

/// Where everything goes.
struct Plan {
    parts: Parts,
    /// Where what the engine takes for a function begins.
    bodies: Vec<usize>,
    sections: Vec<Range<usize>>,
}

impl Plan {
    fn of(compilation: &RkyvSerializableCompilation, links: &Links<'_>, metadata: usize, traps: usize) -> Self {
        // Within the code and within what is read, at first.
        let mut bodies: Vec<usize> = begins(bodies(compilation).map(|body| body.body.len())).collect();
        let mut code_len = match (bodies.last(), self::bodies(compilation).last()) {
            (Some(begin), Some(last)) => begin + last.body.len(),
            _ => 0,
        };
        let mut data_len = 0;
        let section = |(index, section): (SectionIndex, &CustomSection)| {
            let runs = section.protection == CustomSectionProtection::ReadExecute;
            let (end, alignment) = if runs { (&mut code_len, CODE_ALIGNMENT) } else { (&mut data_len, DATA_ALIGNMENT) };
            let left_out = index == compilation.libcall_trampolines && !links.trampolines;
            let begin = end.next_multiple_of(alignment);
            *end = begin + if left_out { 0 } else { section.bytes.len() };
            (runs, begin..*end)
        };
        let sections: Vec<_> = compilation.custom_sections.iter().map(section).collect();

        let mut end = HEADROOM + HEAD;
        let mut part = |len: usize, alignment: usize| {
            let begin = end.next_multiple_of(alignment);
            end = begin + len;
            begin..end
        };
        let counts = counts(compilation);
        let pointers = bodies.len();
        let engine = part(MetadataHeader::LEN + metadata + (counts.len() + pointers) * ADDRESS, MetadataHeader::ALIGN);
        let data = part(data_len, DATA_ALIGNMENT);
        let based = part((pointers + links.count(|what| what == What::Address)) * WORD, WORD);
        let libcalls = part(links.count(|what| matches!(what, What::Libcall(_))) * 2 * WORD, WORD);
        let lengths = part(counts[0] * WORD, WORD);
        let traps = part(traps, MetadataHeader::ALIGN);
        // Last, because it alone begins with a page.
        let code = part(code_len, PAGE);

        bodies.iter_mut().for_each(|begin| *begin += code.start);
        let placed = |(runs, range): &(bool, Range<usize>)| {
            let begin = if *runs { code.start } else { data.start };
            begin + range.start..begin + range.end
        };
        let sections: Vec<_> = sections.iter().map(placed).collect();
        let unwind = compilation.unwind_info.eh_frame.and_then(|index| sections.get(index.index()).cloned());
        let parts = Parts { engine, unwind: unwind.unwrap_or_default(), based, libcalls, lengths, traps, code };
        Plan { parts, bodies, sections }
    }

    fn section(&self, index: SectionIndex) -> Option<usize> {
        Some(self.sections.get(index.index())?.start)
    }

    /// Where what a link leads to is.
    fn target(&self, target: RelocationTarget, compilation: &RkyvSerializableCompilation) -> Option<usize> {
        let body = |index: usize| self.bodies.get(index).copied();
        match target {
            RelocationTarget::LocalFunc(function) => body(function.index()),
            RelocationTarget::DynamicTrampoline(function) => {
                let [functions, trampolines, _] = counts(compilation);
                body(functions + trampolines + function.index())
            }
            RelocationTarget::CustomSection(section) => self.section(section),
            RelocationTarget::LibCall(libcall) => {
                let behind = libcall as usize * compilation.libcall_trampoline_len as usize;
                Some(self.section(compilation.libcall_trampolines)? + behind)
            }
        }
    }
}

/// An object that is being written.
struct Draft {
    room: Room,
    /// See [`super`]; so are these.
    based: Vec<usize>,
    libcalls: Vec<(usize, LibCall)>,
}

impl Draft {
    fn put(&mut self, at: usize, bytes: &[u8]) -> Option<usize> {
        let end = at.checked_add(bytes.len())?;
        self.room.bytes().get_mut(at..end)?.copy_from_slice(bytes);
        Some(end)
    }

    /// Puts down numbers of four bytes, one behind the other.
    fn words(&mut self, mut at: usize, values: impl IntoIterator<Item = usize>) -> Option<()> {
        for value in values {
            at = self.put(at, &u32::try_from(value).ok()?.to_le_bytes())?;
        }
        Some(())
    }

    /// What the engine is given: its archive, then each list of addresses behind its length.
    fn engine(&mut self, compilation: &RkyvSerializableCompilation, plan: &Plan, metadata: &[u8]) -> Option<()> {
        let header = MetadataHeader::new(metadata.len()).into_bytes();
        let mut at = self.put(plan.parts.engine.start, &header)?;
        at = self.put(at, metadata)?;
        let mut bodies = plan.bodies.iter();
        for count in counts(compilation) {
            at = self.put(at, &count.to_le_bytes())?;
            for begin in bodies.by_ref().take(count) {
                self.based.push(at);
                at = self.put(at, &begin.to_le_bytes())?;
            }
        }
        Some(())
    }

    /// Functions and sections, and how long functions are.
    fn code(&mut self, compilation: &RkyvSerializableCompilation, plan: &Plan) -> Option<()> {
        for (body, begin) in bodies(compilation).zip(&plan.bodies) {
            self.put(*begin, &body.body)?;
        }
        for (section, range) in compilation.custom_sections.values().zip(&plan.sections) {
            self.put(range.start, &section.bytes.as_slice()[..range.len()])?;
        }
        self.words(plan.parts.lengths.start, compilation.function_bodies.values().map(|function| function.body.len()))
    }

    fn link(&mut self, link: &Link<'_>, compilation: &RkyvSerializableCompilation, plan: &Plan) -> Option<()> {
        let Relocation { reloc_target, offset, addend, .. } = *link.relocation;
        let begin = match link.owner {
            Owner::Function(index) => *plan.bodies.get(index)?,
            Owner::Section(index) => plan.section(index)?,
        };
        let at = begin.checked_add(offset as usize)?;
        let target = |from: usize| {
            let place = plan.target(reloc_target, compilation)?;
            i64::try_from(place).ok()?.checked_sub_unsigned(from as u64)?.checked_add(addend)
        };
        match link.what {
            What::Distance => self.put(at, &i32::try_from(target(at)?).ok()?.to_le_bytes())?,
            What::Address => {
                self.based.push(at);
                self.put(at, &target(0)?.to_le_bytes())?
            }
            What::Libcall(libcall) => {
                self.libcalls.push((at, libcall));
                self.put(at, &addend.to_le_bytes())?
            }
        };
        Some(())
    }

    fn finish(mut self, parts: &Parts) -> Option<Linked> {
        let (mut based, libcalls) = (std::mem::take(&mut self.based), std::mem::take(&mut self.libcalls));
        // In order, so that loading goes through memory once.
        based.sort_unstable();
        self.words(parts.based.start, based)?;
        self.words(parts.libcalls.start, libcalls.into_iter().flat_map(|(at, libcall)| [at, libcall as usize]))?;
        Some(Linked(self.room))
    }
}

/// What the engine wrote.
fn module(artifact: &[u8]) -> Option<SerializableModule> {
    if !ArtifactBuild::is_deserializable(artifact) {
        return None;
    }
    let aligned = Room::holding(artifact).ok()?;
    let len = MetadataHeader::parse(&aligned[ArtifactBuild::MAGIC_HEADER.len()..]).ok()?;
    let archive = aligned[BEFORE..].get(..len)?;
    // Checked although the engine has just written it: that is safe code, and once in the life of an artifact.
    let archived = SerializableModule::archive_from_slice_checked(archive).ok()?;
    SerializableModule::deserialize_from_archive(archived).ok()
}

#[cfg(all(test, target_arch = "x86_64", target_os = "linux"))]
mod equal;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::Backend;
    use crate::check::Shape;
    use crate::compiler::Compiler;
    use crate::limits::Limits;
    use crate::object::load;

    const WAT: &str = r#"(module (memory 1) (table 2 funcref) (elem (i32.const 0) $divide $again)
        (data (i32.const 0) "data")
        (func $divide (param i32) (result i32)
            (i32.div_u (i32.load (local.get 0)) (call $again (i32.load offset=8 (local.get 0)))))
        (func (nop) (nop))
        (func $again (param i32) (result i32)
            (if (local.get 0) (then (drop (call $divide (local.get 0))) (drop (call $again (local.get 0)))))
            (drop (table.grow (ref.func $again) (memory.grow (i32.const 1))))
            (memory.fill (i32.const 0) (i32.const 1) (local.get 0))
            (drop (call_indirect (param i32) (result i32) (local.get 0) (local.get 0)))
            (unreachable)))"#;

    fn artifact(compiler: Compiler) -> Vec<u8> {
        let wasm = wat::parse_str(WAT).unwrap();
        let engine = compiler.backend().engine(&Limits::default(), &Shape::default(), wasm.len());
        compiler.backend().compile(&engine, &wasm).unwrap().serialize().unwrap().to_vec()
    }

    fn rkyv(module: &SerializableModule) -> &RkyvSerializableCompilation {
        let SerializableCompilation::Rkyv(compilation) = &module.compilation else { panic!("another format") };
        compilation
    }

    /// The code of all functions where the engine put it.
    fn engines(artifact: &[u8]) -> Vec<Vec<u8>> {
        let engine = Backend::engine_to_load(&Limits::default(), &Shape::default());
        // SAFETY: the engine wrote it just now, and nothing of it is run.
        let module = unsafe {
            wasmer::Module::deserialize_unchecked(&engine, bytes::Bytes::from_owner(Room::holding(artifact).unwrap()))
        };
        let functions = module.unwrap().sys_artifact().unwrap().finished_function_extents().unwrap();
        functions.iter().map(|(_, function)| code(function)).collect()
    }

    fn code(function: &wasmer_compiler::FunctionExtent) -> Vec<u8> {
        // SAFETY: the function lies there for as long as there is its engine or its object.
        unsafe { std::slice::from_raw_parts(function.ptr.0.cast::<u8>(), function.length) }.to_vec()
    }

    #[test]
    #[cfg(all(target_arch = "x86_64", target_os = "linux"))]
    fn code_is_what_the_engine_would_link() {
        for compiler in Compiler::ALL {
            let artifact = artifact(*compiler);
            let room = link(&artifact).unwrap_or_else(|| panic!("{}", compiler.name())).into_room();
            let engine = Backend::engine_to_load(&Limits::default(), &Shape::default());
            // SAFETY: it was linked here and now, and nothing of it is run.
            let (module, mapped) = unsafe { load(&engine, room) }.unwrap();
            let ours: Vec<_> = mapped.functions().map(|function| code(&function)).collect();
            assert_eq!(ours.len(), 3);
            assert_eq!(ours, engines(&artifact), "{}", compiler.name());
            // And the engine has been given these very functions.
            let given = module.sys_artifact().unwrap().finished_functions().values().map(|function| function.addr());
            let own = mapped.functions().map(|function| function.ptr.addr());
            assert_eq!(given.collect::<Vec<_>>(), own.collect::<Vec<_>>(), "{}", compiler.name());
        }
    }

    #[test]
    fn every_trap_but_those_that_go_without_saying_is_kept() {
        for compiler in Compiler::ALL {
            let mut module = module(&artifact(*compiler)).unwrap();
            let all = |module: &SerializableModule| -> Vec<_> {
                let infos = rkyv(module).function_frame_info.values().flat_map(|info| info.traps.iter());
                infos.map(|trap| (trap.code_offset, trap.trap_code)).collect()
            };
            let said = |traps: &[(u32, TrapCode)]| -> Vec<_> {
                let said = traps.iter().filter(|(_, code)| *code != TrapCode::HeapAccessOutOfBounds);
                said.copied().collect()
            };
            let before = all(&module);
            let SerializableCompilation::Rkyv(compilation) = &mut module.compilation else { panic!("another format") };
            let kept = Room::holding(&traps(compilation, &module.compile_info).unwrap()).unwrap();
            // SAFETY: it was written just now.
            let after = all(&unsafe { SerializableModule::deserialize(&kept) }.unwrap());
            assert!(!said(&before).is_empty());
            assert_eq!(said(&before), said(&after), "{}", compiler.name());
            if cfg!(target_arch = "x86_64") && *compiler == Compiler::Cranelift {
                assert_eq!(before.len(), after.len() + 2);
            }
        }
    }

    #[test]
    fn a_fault_goes_without_saying_and_an_illegal_instruction_does_not() {
        let said = |code: &[u8], trap| !goes_without_saying(code, 1, trap);
        let load = [0x90, 0x8b, 0x04, 0x07];
        assert!(!said(&load, TrapCode::HeapAccessOutOfBounds) && said(&load, TrapCode::IntegerDivisionByZero));
        // Nothing of the system's says what it was that an instruction was put there for.
        for illegal in [[0x90, 0x0f, 0x0b, 0x90], [0x90, 0x0f, 0xb9, 0xc1], [0x90, 0x0f, 0xff, 0xc0]] {
            assert!(said(&illegal, TrapCode::HeapAccessOutOfBounds));
        }
        assert!(said(&load[..2], TrapCode::HeapAccessOutOfBounds));
    }

    #[test]
    fn what_is_no_artifact_is_no_object() {
        for bytes in
            [&b""[..], b"machine code", b"wasmer-universal", b"wasmer-universalWASMER\0\0but not of this version"]
        {
            assert!(link(bytes).is_none());
        }
    }
}
