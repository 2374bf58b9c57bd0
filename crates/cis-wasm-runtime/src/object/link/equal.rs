//! That an object is, byte for byte, what the engine's own arithmetic makes of an artifact.
//!
//! Invariant: an object's bytes are looked at, and its code run, only while its [`Mapped`](super::super::Mapped) is there.

use std::ops::Range;
use std::{iter, ptr};

use wasmer::sys::vm::libcalls::function_pointer;
use wasmer::sys::{CpuFeature, EngineBuilder, Target, Triple};
use wasmer::{Engine, Imports, Instance, Module, Store};
use wasmer_compiler::ArtifactCreate;
use wasmer_compiler::types::relocation::RelocationLike;
use wasmer_compiler_cranelift::Cranelift;

use super::*;
use crate::backend::{Backend, features};
use crate::check::Shape;
use crate::compiler::Compiler;
use crate::limits::Limits;
use crate::object::load;

/// Modules of which each has something that is linked in a way of its own.
const MODULES: [(&str, &str); 9] = [
    ("nothing", "(module)"),
    (
        "no functions",
        r#"(module (memory (export "memory") 1) (data (i32.const 8) "data") (global (export "g") i32 (i32.const 1)))"#,
    ),
    ("no memory", "(module (func $one (result i32) (i32.const 1)) (func (drop (call $one))))"),
    (
        "imports",
        r#"(module (import "env" "a" (func $a (param i32) (result i64))) (import "env" "b" (func $b))
            (import "env" "c" (func $c (param f64 f32) (result f32))) (import "env" "d" (func $d (param i64 i64 i64 i64 i64 i64 i64)))
            (table 4 funcref) (elem (i32.const 0) $a $b $c $own)
            (func $own (param i32) (result i64) (call $b) (drop (call $c (f64.const 1) (f32.const 2))) (call $a (local.get 0)))
            (func (export "e") (param i32) (result i64) (call_indirect (param i32) (result i64) (local.get 0) (local.get 0)))
            (func (export "f") (call $d (i64.const 1) (i64.const 2) (i64.const 3) (i64.const 4) (i64.const 5) (i64.const 6) (i64.const 7))))"#,
    ),
    (
        "floats",
        r#"(module (func (export "f") (param f32 f64) (result f64)
            (f64.add (f64.promote_f32 (f32.add (f32.ceil (local.get 0)) (f32.add (f32.floor (local.get 0)) (f32.add (f32.trunc (local.get 0)) (f32.add (f32.nearest (local.get 0)) (f32.sqrt (local.get 0)))))))
                (f64.add (f64.ceil (local.get 1)) (f64.add (f64.floor (local.get 1)) (f64.add (f64.trunc (local.get 1)) (f64.add (f64.nearest (local.get 1)) (f64.sqrt (local.get 1)))))))))"#,
    ),
    (
        "a jump table",
        r#"(module (func (export "f") (param i32) (result i32)
            (block $a (block $b (block $c (block $d (br_table $a $b $c $d $a $b $c $d (local.get 0))) (return (i32.const 1))) (return (i32.const 2))) (return (i32.const 3)))
            (i32.const 4)))"#,
    ),
    (
        "bulk operations",
        r#"(module (memory 1 2) (table $t 4 8 funcref) (table $u 4 externref)
            (data $d "passive") (elem $e funcref (ref.func $f) (ref.null func))
            (func $f (export "f") (param i32)
                (memory.init $d (i32.const 0) (i32.const 0) (local.get 0)) (data.drop $d)
                (memory.copy (i32.const 0) (i32.const 8) (local.get 0)) (memory.fill (i32.const 0) (i32.const 8) (local.get 0))
                (table.init $t $e (i32.const 0) (i32.const 0) (local.get 0)) (elem.drop $e)
                (table.copy $t $t (i32.const 0) (i32.const 1) (local.get 0)) (table.fill $t (i32.const 0) (ref.func $f) (local.get 0))
                (table.set $t (i32.const 0) (table.get $t (local.get 0))) (table.set $u (i32.const 0) (table.get $u (local.get 0)))
                (drop (table.grow $u (ref.null extern) (table.size $t)))
                (drop (memory.grow (memory.size)))
                (if (ref.is_null (table.get $t (local.get 0))) (then (call $f (local.get 0))))))"#,
    ),
    (
        "many results",
        r#"(module (func $two (export "two") (param i64 f64) (result f64 i64) (local.get 1) (local.get 0))
            (func (export "f") (result f64 i64) (call $two (i64.const 1) (f64.const 0x1.8p+600))))"#,
    ),
    (
        "vectors",
        r#"(module (memory 1) (func (export "f") (param i32) (result i32)
            (i32x4.extract_lane 0 (i32x4.add
                (i8x16.shuffle 0 17 2 19 4 21 6 23 8 25 10 27 12 29 14 31 (v128.const i32x4 1 2 3 4) (v128.load (local.get 0)))
                (i32x4.trunc_sat_f32x4_u (f32x4.ceil (f32x4.nearest (v128.const f32x4 1.5 2.5 3.5 4.5))))
            ))))"#,
    ),
];

/// Has so many functions that calls between them are of many distances, and more than a page of code.
fn many() -> String {
    let functions = (0..3_000).map(|at| {
        let (next, far) = ((at * 7 + 1) % 3_000, (at * 1_999 + 5) % 3_000);
        format!("(func (param i32) (result i32) (i32.div_u (call {next} (local.get 0)) (call {far} (i32.const {at}))))")
    });
    format!("(module {})", functions.collect::<String>())
}

fn place(base: usize, range: &Range<usize>) -> &'static [u8] {
    // SAFETY: it is a part of an object, which is there until the test has ended.
    unsafe { std::slice::from_raw_parts(ptr::with_exposed_provenance(base + range.start), range.len()) }
}

/// Loads an artifact as an object, and compares it.
fn check(what: &str, artifact: &[u8]) {
    let module = module(artifact).unwrap();
    let SerializableCompilation::Rkyv(compilation) = &module.compilation else { panic!("{what}: another format") };
    let linked = link(artifact).unwrap_or_else(|| panic!("{what}: no object"));
    let parts = Parts::of(&linked.0).unwrap();
    let links = Links::of(compilation).unwrap();
    let known = MetadataHeader::LEN + (3 + bodies(compilation).count()) * ADDRESS;
    let plan = Plan::of(compilation, &links, parts.engine.len() - known, parts.traps.len());
    assert_eq!(plan.parts, parts, "{what}");

    let engine = Backend::engine_to_load(&Limits::default(), &Shape::default());
    // SAFETY: it was linked here and now, and nothing of it is run.
    let (loaded, mapped) = unsafe { load(&engine, linked.into_room()) }.unwrap();
    let base = mapped.base();
    let address = |target| match target {
        RelocationTarget::LibCall(_) => panic!("{what}: not by way of a trampoline"),
        target => base + plan.target(target, compilation).unwrap(),
    };
    let same = |unlinked: &[u8], begin: usize, relocations: &mut dyn Iterator<Item = &Relocation>| {
        let mut expected = unlinked.to_vec();
        for relocation in relocations {
            let bytes = if relocation.kind == RelocationKind::Abs8 { 8 } else { 4 };
            let target = match (relocation.kind, relocation.reloc_target) {
                (RelocationKind::Abs8, RelocationTarget::LibCall(libcall)) => function_pointer(libcall),
                (_, RelocationTarget::LibCall(libcall)) => {
                    address(RelocationTarget::CustomSection(compilation.libcall_trampolines))
                        + libcall as usize * compilation.libcall_trampoline_len as usize
                }
                (_, target) => address(target),
            };
            let (at, value) = relocation.for_address(base + begin, target as u64);
            let at = at - base - begin;
            expected[at..at + bytes].copy_from_slice(&value.to_le_bytes()[..bytes]);
        }
        assert_eq!(place(base, &(begin..begin + unlinked.len())), expected, "{what}");
    };
    for ((index, body), begin) in compilation.function_bodies.iter().zip(&plan.bodies) {
        same(&body.body, *begin, &mut compilation.function_relocations[index].iter());
    }
    for (body, begin) in bodies(compilation).zip(&plan.bodies).skip(compilation.function_bodies.len()) {
        same(&body.body, *begin, &mut iter::empty());
    }
    let called = compilation.function_relocations.values().flatten();
    let called: Vec<_> =
        called.filter(|link| link.kind != RelocationKind::Abs8).map(|link| link.reloc_target).collect();
    for ((index, section), range) in compilation.custom_sections.iter().zip(&plan.sections) {
        let runs = section.protection == CustomSectionProtection::ReadExecute;
        let (whole, alignment) =
            if runs { (&parts.code, CODE_ALIGNMENT) } else { (&(0..parts.code.start), DATA_ALIGNMENT) };
        assert!(
            range.start.is_multiple_of(alignment) && whole.start <= range.start && range.end <= whole.end,
            "{what}"
        );
        let relocations = compilation.custom_section_relocations[index].iter();
        if index != compilation.libcall_trampolines {
            same(section.bytes.as_slice(), range.start, &mut { relocations });
        } else if links.trampolines {
            let mut called = relocations.filter(|link| called.contains(&link.reloc_target));
            same(section.bytes.as_slice(), range.start, &mut called);
        } else {
            assert!(range.is_empty() && !called.iter().any(|target| matches!(target, RelocationTarget::LibCall(_))));
        }
    }

    // And the engine was given all of it.
    let given = loaded.sys_artifact().unwrap();
    let pointers = given.finished_functions().values().map(|function| function.addr());
    let pointers = pointers.chain(given.finished_function_call_trampolines().values().map(|body| *body as usize));
    let pointers = pointers.chain(given.finished_dynamic_function_trampolines().values().map(|body| body.addr()));
    let planned = plan.bodies.iter().map(|begin| base + begin);
    assert_eq!(pointers.collect::<Vec<_>>(), planned.collect::<Vec<_>>(), "{what}");

    // SAFETY: the engine wrote it just now, and nothing of it is run.
    let own =
        unsafe { Module::deserialize_unchecked(&engine, bytes::Bytes::from_owner(Room::holding(artifact).unwrap())) };
    let own = own.unwrap();
    let own = own.sys_artifact().unwrap();
    assert_eq!(own.create_module_info(), given.create_module_info(), "{what}");
    assert_eq!(own.features(), given.features(), "{what}");
    assert_eq!(own.cpu_features(), given.cpu_features(), "{what}");
    assert_eq!(format!("{:?}", own.memory_styles()), format!("{:?}", given.memory_styles()));
    assert_eq!(format!("{:?}", own.table_styles()), format!("{:?}", given.table_styles()));
    assert_eq!(format!("{:?}", own.signatures()), format!("{:?}", given.signatures()), "{what}");
}

#[test]
fn every_byte_is_what_the_engine_would_link() {
    for compiler in Compiler::ALL {
        let modules = MODULES.iter().map(|(what, wat)| (*what, (*wat).to_owned()));
        for (what, wat) in modules.chain([("many functions", many())]) {
            let wasm = wat::parse_str(wat).unwrap();
            let engine = compiler.backend().engine(&Limits::default(), &Shape::default(), wasm.len());
            let module = compiler.backend().compile(&engine, &wasm);
            let Some(module) = module.ok().or_else(|| {
                assert_eq!(what, "vectors");
                None
            }) else {
                continue;
            };
            check(&format!("{what}, {}", compiler.name()), &module.serialize().unwrap());
        }
    }
}

/// A processor that rounds by no instruction has the engine's functions called for it.
#[test]
fn what_the_processor_cannot_do_is_linked() {
    let wasm = wat::parse_str(MODULES.iter().find(|(what, _)| *what == "floats").unwrap().1).unwrap();
    let old = Target::new(Triple::host(), CpuFeature::SSE2.into());
    let engine = EngineBuilder::new(Cranelift::new()).set_features(Some(features())).set_target(Some(old)).engine();
    let artifact = Module::from_binary(&Engine::from(engine), &wasm).unwrap().serialize().unwrap();
    check("an old processor", &artifact);
    let engine = Backend::engine_to_load(&Limits::default(), &Shape::default());
    // SAFETY: it was linked here and now, and its code is there until the test has ended.
    let (module, _mapped) = unsafe { load(&engine, link(&artifact).unwrap().into_room()) }.unwrap();
    let mut store = Store::new(engine);
    let instance = Instance::new(&mut store, &module, &Imports::new()).unwrap();
    let function = instance.exports.get_typed_function::<(f32, f64), f64>(&store, "f").unwrap();
    // 3 + 2 + 2 + 2 + 1.5 and 7 + 6 + 6 + 6 + 2.5.
    assert_eq!(function.call(&mut store, 2.25, 6.25).unwrap(), 10.5 + 27.5);
}
