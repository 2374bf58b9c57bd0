//! How wasm-smith is told to make skills.

use std::fmt::Write as _;
use std::sync::LazyLock;

use arbitrary::{Result, Unstructured};
use cis_wasm_abi::{EXPORT_MEMORY, EXPORTS, IMPORT_MODULE, IMPORTS, Param, ValType};
use wasm_smith::{Config, Module};

/// A module that keeps the contract: it imports what the host has, and exports what a skill must.
pub(crate) fn wasm(u: &mut Unstructured<'_>) -> Result<Vec<u8>> {
    let config = config(u, Some(IMPORTED.clone()))?;
    Ok(Module::new(config, u)?.to_bytes())
}

/// The same without any import. Most have nothing that keeps their instances from being set back.
pub(crate) fn silent(u: &mut Unstructured<'_>) -> Result<Vec<u8>> {
    let lasts = u.ratio(1, 4)?;
    let config = config(u, None)?;
    let max_tables = if lasts { config.max_tables } else { 0 };
    let (bulk_memory_enabled, reference_types_enabled) = (lasts, lasts);
    let config = Config { max_tables, bulk_memory_enabled, reference_types_enabled, ..config };
    Ok(Module::new(config, u)?.to_bytes())
}

fn config(u: &mut Unstructured<'_>, available_imports: Option<Vec<u8>>) -> Result<Config> {
    Ok(Config {
        max_imports: if available_imports.is_some() { Config::default().max_imports } else { 0 },
        available_imports,
        exports: Some(exported(u)?),
        allow_start_export: u.ratio(1, 4)?,
        // Without traps a module gets further, with them it is as its author may have meant it.
        disallow_traps: u.ratio(3, 4)?,
        // Singlepass has no SIMD, so such a module is not compared.
        simd_enabled: u.ratio(1, 16)?,
        // What the check refuses.
        custom_page_sizes_enabled: false,
        exceptions_enabled: false,
        extended_const_enabled: false,
        gc_enabled: false,
        memory64_enabled: false,
        relaxed_simd_enabled: false,
        shared_everything_threads_enabled: false,
        tail_call_enabled: false,
        threads_enabled: false,
        wide_arithmetic_enabled: false,
        // The one memory is the exported one.
        min_memories: 0,
        max_memories: 0,
        // Small, so that many can be run.
        min_funcs: u.int_in_range(0..=12)?,
        max_funcs: 16,
        max_instructions: u.int_in_range(5..=120)?,
        max_types: 12,
        min_globals: 1,
        max_globals: 8,
        max_tables: u.int_in_range(0..=3)?,
        max_table_elements: 200,
        max_element_segments: 6,
        max_elements: 10,
        max_data_segments: 6,
        generate_custom_sections: u.ratio(1, 8)?,
        ..Config::default()
    })
}

/// A module with every import of the contract.
static IMPORTED: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let mut text = String::from("(module\n");
    for import in &IMPORTS {
        let ty = function_type(import.params, import.result);
        writeln!(text, "(import \"{IMPORT_MODULE}\" \"{}\" (func {ty}))", import.name)
            .expect("a string takes everything");
    }
    wat::parse_str(text + ")").expect("the imports are well formed")
});

/// A module with exports as a skill may have them.
fn exported(u: &mut Unstructured<'_>) -> Result<Vec<u8>> {
    let pages = u.int_in_range(0..=3)?;
    let most = if u.ratio(1, 2)? { (pages + u.int_in_range(0..=70)?).to_string() } else { String::new() };
    let mut text = format!("(module (memory (export \"{EXPORT_MEMORY}\") {pages} {most})\n");
    for export in &EXPORTS {
        if export.required || u.ratio(1, 16)? {
            let result = if export.results.is_empty() { None } else { Some(*u.choose(export.results)?) };
            let ty = function_type(export.params, result);
            writeln!(text, "(func (export \"{}\") {ty} unreachable)", export.name).expect("a string takes everything");
        }
    }
    if u.ratio(1, 8)? {
        // The names that the meter's own exports have.
        text.push_str("(global (export \"cis:fuel\") (mut i64) (i64.const 0)) (func (export \"cis:start\"))\n");
    }
    Ok(wat::parse_str(text + ")").expect("the exports are well formed"))
}

fn function_type(params: &[Param], result: Option<ValType>) -> String {
    let name = |ty: ValType| match ty {
        ValType::I32 => "i32",
        ValType::I64 => "i64",
    };
    let params: String = params.iter().map(|(_, ty)| format!("(param {}) ", name(*ty))).collect();
    let result = result.map(|ty| format!("(result {})", name(ty))).unwrap_or_default();
    params + &result
}
