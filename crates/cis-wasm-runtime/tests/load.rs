//! What is refused before the compiler sees it, and how the error says why.

mod common;

use cis_wasm_abi::Level;
use cis_wasm_runtime::Compiler;
use common::{guest, module, on_event, raw};

const OK: &str = "(i32.const 0)";

#[test]
fn bytes_that_are_no_module() {
    raw(Vec::new()).refused("invalid_module", "not a WebAssembly binary");
    raw(b"#!/bin/sh".to_vec()).refused("invalid_module", "not a WebAssembly binary");
    let mut wasm = guest(&on_event(OK)).wasm;
    wasm.truncate(wasm.len() - 3);
    raw(wasm).refused("invalid_module", "");
    raw(b"\0asm\x0d\0\x01\0".to_vec()).refused("invalid_module", "component");
    raw(vec![0; (64 << 20) + 1]).refused("module_too_large", "bytes");
}

#[test]
fn a_truncated_module_is_no_panic() {
    let wasm = guest(&on_event(OK)).wasm;
    for len in 0..wasm.len() {
        // Cut at the end of a section it may still be a module, of which something is missing.
        if let Err(error) = raw(wasm[..len].to_vec()).load(Compiler::Cranelift) {
            assert!(matches!(error.code(), "invalid_module" | "missing_export"), "{len}: {error}");
        }
    }
}

#[test]
fn imports_that_are_not_the_hosts() {
    let import = |import: &str| module(&format!("(module {import} {})", on_event(OK)));
    import(r#"(import "env" "host_exec" (func))"#).refused("unknown_import", "env.host_exec");
    import(r#"(import "wasi_snapshot_preview1" "fd_write" (func))"#)
        .refused("unknown_import", "wasi_snapshot_preview1");
    import(r#"(import "cis" "refuel" (func))"#).refused("unknown_import", "cis.refuel");
    import(r#"(import "env" "host_log" (func (param i32 i32)))"#).refused("bad_import", "host_log");
    import(r#"(import "env" "host_log" (global i32))"#).refused("bad_import", "not a function");
    import(r#"(import "env" "host_log" (func (param i32 i32 i32) (result i32 i32)))"#).refused("bad_import", "");
    import(r#"(import "env" "table" (table 1 funcref))"#).refused("unknown_import", "env.table");
}

#[test]
fn exports_that_are_missing_or_of_another_type() {
    guest(r#"(memory (export "memory") 1)"#).refused("missing_export", "skill_on_event");
    guest(r#"(memory 1) (func (export "skill_on_event") (param i32 i32 i32 i32) (result i64) (i64.const 0))"#)
        .refused("missing_export", "memory");
    guest(r#"(memory (export "memory") 1) (func (export "skill_on_event") (param i32) (result i32) (i32.const 0))"#)
        .refused("bad_export", "skill_on_event");
    let extra = |extra: &str| guest(&format!("{} {extra}", on_event(OK)));
    extra(r#"(func (export "cis_alloc") (param i64) (result i32) (i32.const 0))"#).refused("bad_export", "cis_alloc");
    extra(r#"(global (export "skill_init") i32 (i32.const 0))"#).refused("bad_export", "not a function");
    extra(r#"(func (export "cis_abi_version") (result i32) (i32.const 2))"#).refused("unsupported_abi", "version 2");
    extra(r#"(func (export "cis_abi_version") (result i32) (i32.const 0))"#).refused("unsupported_abi", "version 0");
    guest(r#"(func (export "memory")) (func (export "skill_on_event") (param i32 i32 i32 i32) (result i32) (i32.const 0))"#)
        .refused("missing_export", "memory");
}

#[test]
fn features_that_are_off() {
    let with = |fields: &str, body: &str| guest(&format!("{} {fields}", on_event(body)));
    with("(memory 1)", OK).refused("invalid_module", "");
    with("(tag)", OK).refused("invalid_module", "");
    guest(&on_event(OK).replace(r#"(export "memory") 1"#, r#"(export "memory") 1 2 shared"#))
        .refused("invalid_module", "");
    guest(&on_event(OK).replace(r#"(export "memory") 1"#, r#"(export "memory") i64 1"#)).refused("invalid_module", "");
    with("", "(drop (i32.atomic.load (i32.const 0))) (i32.const 0)").refused("invalid_module", "threads");
}

#[test]
fn declared_memory_and_tables_beyond_the_limit() {
    let big = guest(&on_event(OK).replace(r#"(export "memory") 1"#, r#"(export "memory") 17"#));
    big.with(|spec| spec.limits.memory_bytes = 16 * 65_536).refused("out_of_memory", "1114112 bytes");
    guest(&format!("{} (table 60000 funcref) (table 60000 funcref)", on_event(OK)))
        .refused("table_too_large", "120000 elements");
}

#[test]
fn ceilings() {
    let function = |body: &str| guest(&on_event(&format!("{body} (i32.const 0)")));
    function(
        &"(block ".repeat(2_500).to_string().as_str().chars().chain(")".repeat(2_500).chars()).collect::<String>(),
    )
    .refused("module_too_large", "blocks nested");
    function(&"(drop (i32.const 0))".repeat(100_000)).refused("module_too_large", "bytes in one function");
    // Small, and a compiler's nightmare: many blocks over many locals.
    let nightmare = "(if (local.get 9) (then (local.set 7 (i32.const 1))))".repeat(12_000);
    let nightmare = format!("(func (local {}) {nightmare})", "i32 ".repeat(1_500));
    guest(&format!("{} {nightmare}", on_event(OK)))
        .refused("module_too_large", "work for the compiler in one function");
    let locals = format!("(func (local {}))", "i32 ".repeat(10_001));
    guest(&format!("{} {locals}", on_event(OK))).refused("module_too_large", "locals in one function");
    let exports: String = (0..10_001).map(|n| format!("(export \"e{n}\" (memory 0))")).collect();
    guest(&format!("{} {exports}", on_event(OK))).refused("module_too_large", "exports");
}

#[test]
fn segments_that_do_not_fit() {
    guest(&format!("{} (data (i32.const 65535) \"ab\")", on_event(OK))).refused("trap_out_of_bounds", "");
    guest(&format!("{} (table 1 funcref) (elem (i32.const 1) func 0)", on_event(OK)))
        .refused("trap_table_out_of_bounds", "");
}

#[test]
fn an_init_that_fails() {
    let init = |body: &str| {
        module(&format!(
            r#"(module (import "env" "host_set_error" (func $set_error (param i32 i32)))
                (func (export "skill_init") (result i32) {body})
                (data (i32.const 0) "no config") {})"#,
            on_event(OK)
        ))
    };
    init("(i32.const 7)").refused("init_failed", "skill_init returned 7");
    init("(call $set_error (i32.const 0) (i32.const 9)) (i32.const -1)").refused("init_failed", "no config");
    init("unreachable").refused("trap_unreachable", "");
    init("(loop (br 0)) (i32.const 0)").with(|spec| spec.limits.fuel = 10_000).refused("out_of_fuel", "10000");
    guest(&format!("{} (func $spin (loop (br 0))) (start $spin)", on_event(OK)))
        .with(|spec| spec.limits.fuel = 10_000)
        .refused("out_of_fuel", "10000");
}

#[test]
fn what_a_skill_logged_before_its_load_failed() {
    for end in ["(i32.const 7)", "unreachable"] {
        let skill = module(&format!(
            r#"(module (import "env" "host_log" (func $log (param i32 i32 i32)))
                (func (export "skill_init") (result i32) (call $log (i32.const 2) (i32.const 0) (i32.const 9)) {end})
                (data (i32.const 0) "no config") {})"#,
            on_event(OK)
        ));
        for compiler in Compiler::ALL {
            let error = skill.load(*compiler).err().unwrap();
            let log: Vec<_> = error.log().iter().map(|line| (line.level, line.message.as_str())).collect();
            assert_eq!(log, [(Level::Warn, "no config")], "{error}");
        }
    }
}

/// A guest that needs SIMD, each in another way.
#[cfg(feature = "singlepass")]
const VECTORS: [&str; 3] = [
    "(drop (i32x4.extract_lane 0 (v128.const i32x4 1 2 3 4)))",
    "(drop (v128.load (i32.const 0)))",
    "(drop (select (result v128) (v128.const i32x4 0 0 0 0) (v128.const i32x4 0 0 0 0) (i32.const 0)))",
];

#[cfg(feature = "singlepass")]
#[test]
fn vectors_are_a_matter_of_the_compiler() {
    use cis_wasm_host::Fault;
    use cis_wasm_runtime::{ErrorKind, Tier};
    use common::assert_error;
    for body in VECTORS {
        let guest = guest(&on_event(&format!("{body} (i32.const 0)")));
        guest.load(Compiler::Cranelift).unwrap().run("go", b"").result.unwrap();
        let error = guest.load(Compiler::Singlepass).err().unwrap();
        assert_error(&error, "unsupported_feature", "SIMD");
        assert_error(&error, "unsupported_feature", "compile it with cranelift");
        assert_eq!(error.fault(), Fault::Caller);
        let ErrorKind::UnsupportedFeature { compiler, .. } = error.kind() else { panic!("{error:?}") };
        assert_eq!(*compiler, Compiler::Singlepass);
        // Two compilers one after the other: the one that can does it, at once.
        let tiered = guest.load(Compiler::Tiered).unwrap();
        assert_eq!(tiered.tier(), Tier::Last { compiler: Compiler::Cranelift });
        tiered.run("go", b"").result.unwrap();
    }
}
