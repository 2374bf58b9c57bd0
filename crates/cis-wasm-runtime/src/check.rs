//! What is read of a module before any compiler sees it.
//!
//! Invariant: a module that passed [`Shape::of`] is valid under [`FEATURES`], imports only host functions with the types
//! of the contract, has exactly one memory, its own, and stays below the static ceilings. Everything behind this check
//! relies on it.

use std::collections::BTreeSet;

use cis_wasm_abi::{EXPORT_MEMORY, EXPORT_ON_EVENT, EXPORTS, Export, IMPORT_MODULE, ValType, ceilings, import};
use cis_wasm_host::unwired::{Limit, unwired};
use wasmparser::{
    Chunk, ElementItems, ExternalKind, FuncType, FunctionBody, Operator, Parser, Payload, TypeRef, ValType as WasmType,
    Validator, WasmFeatures,
};

use crate::error::{Error, ErrorKind};
use crate::limits::Limits;

/// What current compilers emit, and no more: no threads, no relaxed SIMD, no 64-bit memory, no exceptions.
pub(crate) const FEATURES: WasmFeatures = WasmFeatures::WASM2;

/// Static ceilings on a module's parts. A compiler's time grows with them, for some faster than linearly.
const MOST_FUNCTIONS: u64 = 50_000;
const MOST_TYPES: u64 = 20_000;
const MOST_EXPORTS: u64 = 10_000;
const MOST_GLOBALS: u64 = 10_000;
const MOST_TABLES: u64 = 64;
const MOST_SEGMENTS: u64 = 50_000;
const MOST_LOCALS: u64 = 10_000;
const MOST_CUSTOM_SECTIONS: u64 = 1_000;
const MOST_NAME_BYTES: u64 = 4 << 20;
/// All types together: each has code that calls into it.
const MOST_TYPE_VALUES: u64 = 100_000;
/// All segments together, since every instance has a copy of those that are passive.
const MOST_SEGMENT_ELEMENTS: u64 = 200_000;
const MOST_FUNCTION_BYTES: u64 = 256 << 10;
const MOST_BRANCH_TARGETS: u64 = 20_000;
const DEEPEST_NESTING: u64 = 2_000;

/// Work that a compiler is trusted to do, in units of about a microsecond of Cranelift's on one 2025 server core; see
/// [`compile_work`]. One function's is not shared between threads.
const MOST_WORK_IN_ONE_FUNCTION: u64 = 4_000_000;
const MOST_WORK: u64 = 20_000_000;

/// What the rest of the crate needs to know of a module.
#[derive(Clone, Debug, Default)]
pub(crate) struct Shape {
    /// Functions imported, all from the host.
    pub imports: Vec<&'static str>,
    /// How many functions there are, with those.
    pub functions: u32,
    /// Exports of the contract that the module has, with the result of those that may have more than one.
    pub exports: Vec<(&'static str, Option<ValType>)>,
    /// Whether the module has a start function.
    pub has_start: bool,
    /// Tables declared.
    pub tables: u32,
    /// Elements of all tables together, as declared.
    pub table_elements: u32,
}

impl Shape {
    /// Checks a module.
    pub(crate) fn of(wasm: &[u8], limits: &Limits) -> Result<Self, Error> {
        at_most("bytes", wasm.len() as u64, ceilings::MODULE as u64)?;
        if !wasm.starts_with(b"\0asm") {
            return Err(invalid("it does not begin with `\\0asm`: this is not a WebAssembly binary"));
        }
        // Ceilings first, because validation takes memory in proportion to what it reads.
        let mut module = Module::default();
        for payload in Parser::new(0).parse_all(wasm) {
            module.read(payload.map_err(invalid)?)?;
        }
        let features = if unwired(Limit::Features) { WasmFeatures::all() } else { FEATURES };
        Validator::new_with_features(features).validate_all(wasm).map_err(invalid)?;
        module.shape(limits)
    }

    /// The shape of a module of which it is known that it passed [`Shape::of`] before: these very bytes, in a program with
    /// the same checks. What is left to look at are its skill's limits, which may be others.
    pub(crate) fn of_checked(wasm: &[u8], limits: &Limits) -> Result<Self, Error> {
        let mut module = Module::default();
        let (mut parser, mut rest) = (Parser::new(0), wasm);
        loop {
            let Chunk::Parsed { consumed, payload } = parser.parse(rest, true).map_err(invalid)? else {
                return Err(invalid("it ends too soon"));
            };
            rest = &rest[consumed..];
            match payload {
                // By far the most of it.
                Payload::CodeSectionStart { size, .. } => {
                    parser.skip_section();
                    rest = rest.get(size as usize..).ok_or_else(|| invalid("its code ends too soon"))?;
                }
                Payload::End(_) => return module.shape(limits),
                payload => module.read(payload)?,
            }
        }
    }

    /// The result type of the export, when the module has it.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.exports.iter().any(|(export, _)| *export == name)
    }

    /// Which of its two forms `skill_on_event` has.
    pub(crate) fn on_event_result(&self) -> Option<ValType> {
        self.exports.iter().find(|(name, _)| *name == EXPORT_ON_EVENT).and_then(|(_, result)| *result)
    }
}

/// Whether a module that passed the check would not have, were there no SIMD.
#[cfg(feature = "singlepass")]
pub(crate) fn needs_simd(wasm: &[u8]) -> bool {
    let without = FEATURES.difference(WasmFeatures::SIMD);
    Validator::new_with_features(without).validate_all(wasm).is_err()
}

fn invalid(error: impl ToString) -> Error {
    ErrorKind::InvalidModule { message: error.to_string() }.into()
}

fn at_most(what: &str, has: u64, ceiling: u64) -> Result<(), Error> {
    if has > ceiling && !unwired(Limit::Ceilings) {
        Err(ErrorKind::ModuleTooLarge { what: what.into(), has, ceiling }.into())
    } else {
        Ok(())
    }
}

/// What one pass over the sections gathers.
#[derive(Default)]
struct Module<'a> {
    types: Vec<FuncType>,
    /// Parameters and results of all of them.
    type_values: u64,
    custom_sections: u64,
    /// Type of every function, imported ones first.
    functions: Vec<u32>,
    imports: Vec<(&'a str, &'a str, TypeRef)>,
    exports: Vec<(&'a str, ExternalKind, u32)>,
    memories: Vec<u64>,
    table_minima: Vec<u64>,
    has_start: bool,
    /// What its functions are to compile, together.
    work: u64,
}

impl<'a> Module<'a> {
    fn read(&mut self, payload: Payload<'a>) -> Result<(), Error> {
        match payload {
            Payload::Version { encoding: wasmparser::Encoding::Component, .. } => {
                return Err(invalid("it is a component; skills are core modules"));
            }
            Payload::TypeSection(types) => {
                at_most("types", types.count().into(), MOST_TYPES)?;
                for group in types {
                    for ty in group.map_err(invalid)?.into_types() {
                        match ty.composite_type.inner {
                            wasmparser::CompositeInnerType::Func(ty) => {
                                self.type_values += (ty.params().len() + ty.results().len()) as u64;
                                at_most("parameters and results in all types", self.type_values, MOST_TYPE_VALUES)?;
                                self.types.push(ty);
                            }
                            _ => return Err(invalid("it declares a type that is not a function's")),
                        }
                    }
                }
            }
            Payload::ImportSection(imports) => {
                at_most("imports", imports.count().into(), cis_wasm_abi::IMPORTS.len() as u64 * 4)?;
                for import in imports.into_imports() {
                    let import = import.map_err(invalid)?;
                    if let TypeRef::Func(ty) = import.ty {
                        self.functions.push(ty);
                    }
                    self.imports.push((import.module, import.name, import.ty));
                }
            }
            Payload::FunctionSection(functions) => {
                at_most("functions", functions.count().into(), MOST_FUNCTIONS)?;
                for ty in functions {
                    self.functions.push(ty.map_err(invalid)?);
                }
            }
            Payload::TableSection(tables) => {
                at_most("tables", tables.count().into(), MOST_TABLES)?;
                for table in tables {
                    self.table_minima.push(table.map_err(invalid)?.ty.initial);
                }
            }
            Payload::MemorySection(memories) => {
                for memory in memories {
                    self.memories.push(memory.map_err(invalid)?.initial);
                }
            }
            Payload::GlobalSection(globals) => at_most("globals", globals.count().into(), MOST_GLOBALS)?,
            Payload::ExportSection(exports) => {
                at_most("exports", exports.count().into(), MOST_EXPORTS)?;
                for export in exports {
                    let export = export.map_err(invalid)?;
                    self.exports.push((export.name, export.kind, export.index));
                }
            }
            Payload::StartSection { .. } => self.has_start = true,
            Payload::ElementSection(segments) => {
                at_most("element segments", segments.count().into(), MOST_SEGMENTS)?;
                let mut elements = 0;
                for segment in segments {
                    elements += match segment.map_err(invalid)?.items {
                        ElementItems::Functions(items) => u64::from(items.count()),
                        ElementItems::Expressions(_, items) => u64::from(items.count()),
                    };
                    at_most("elements in all segments", elements, MOST_SEGMENT_ELEMENTS)?;
                }
            }
            Payload::CustomSection(section) => {
                self.custom_sections += 1;
                at_most("custom sections", self.custom_sections, MOST_CUSTOM_SECTIONS)?;
                if section.name() == "name" {
                    at_most("bytes in the section of names", section.data().len() as u64, MOST_NAME_BYTES)?;
                }
            }
            Payload::DataSection(data) => at_most("data segments", data.count().into(), MOST_SEGMENTS)?,
            Payload::CodeSectionEntry(body) => {
                self.work += within_ceilings(&body)?;
                at_most("units of work for the compiler", self.work, MOST_WORK)?;
            }
            _ => {}
        }
        Ok(())
    }

    fn shape(self, limits: &Limits) -> Result<Shape, Error> {
        let imports = self.check_imports()?;
        let exports = self.check_exports()?;
        let [memory_pages] = self.memories[..] else {
            return Err(invalid(format!("it has {} memories; a skill has exactly one", self.memories.len())));
        };
        let wanted = memory_pages.saturating_mul(wasmer::WASM_PAGE_SIZE as u64);
        if wanted > limits.memory_bytes && !unwired(Limit::Memory) {
            return Err(ErrorKind::OutOfMemory { wanted, limit: limits.memory_bytes }.into());
        }
        let wanted = self.table_minima.iter().fold(0, |sum: u64, minimum| sum.saturating_add(*minimum));
        let limit = limits.table_elements;
        let table_elements = u32::try_from(wanted)
            .ok()
            .filter(|wanted| *wanted <= limit || unwired(Limit::Tables))
            .ok_or(ErrorKind::TableTooLarge { wanted, limit })?;
        Ok(Shape {
            functions: self.functions.len() as u32,
            imports,
            exports,
            has_start: self.has_start,
            tables: self.table_minima.len() as u32,
            table_elements,
        })
    }

    fn check_imports(&self) -> Result<Vec<&'static str>, Error> {
        let mut names = Vec::new();
        for (module, name, ty) in self.imports.iter().filter(|_| !unwired(Limit::Imports)) {
            let unknown = || Error::from(ErrorKind::UnknownImport { name: format!("{module}.{name}") });
            let known = import(name).filter(|_| *module == IMPORT_MODULE).ok_or_else(unknown)?;
            let bad = |has: String| {
                let what = format!("is {has}, the host's is {}", contract(known.params, known.result.as_slice()));
                Error::from(ErrorKind::BadImport { name: (*name).into(), what })
            };
            let TypeRef::Func(ty) = ty else { return Err(bad("not a function".into())) };
            let ty = self.types.get(*ty as usize).ok_or_else(|| invalid("an import has a type that is not there"))?;
            if !same(ty.params(), known.params.iter().map(|(_, ty)| ty)) || !same(ty.results(), known.result.iter()) {
                return Err(bad(ty.to_string()));
            }
            names.push(known.name);
        }
        Ok(names)
    }

    fn check_exports(&self) -> Result<Vec<(&'static str, Option<ValType>)>, Error> {
        let memory = self.exports.iter().any(|(name, kind, _)| (*name, *kind) == (EXPORT_MEMORY, ExternalKind::Memory));
        if !memory {
            return Err(ErrorKind::MissingExport { name: EXPORT_MEMORY }.into());
        }
        let mut found = Vec::new();
        let mut seen = BTreeSet::new();
        for (name, kind, index) in &self.exports {
            if !seen.insert(name) && !unwired(Limit::Exports) {
                return Err(invalid(format!("it exports `{name}` twice")));
            }
            let Some(known) = EXPORTS.iter().find(|export| export.name == *name) else { continue };
            found.push((known.name, self.check_export(known, *kind, *index)?));
        }
        match EXPORTS.iter().find(|export| export.required && !found.iter().any(|(name, _)| *name == export.name)) {
            Some(missing) => Err(ErrorKind::MissingExport { name: missing.name }.into()),
            None => Ok(found),
        }
    }

    fn check_export(&self, known: &Export, kind: ExternalKind, index: u32) -> Result<Option<ValType>, Error> {
        let bad = |has: String| {
            let forms: Vec<_> = match known.results {
                [] => vec![contract(known.params, &[])],
                results => results.iter().map(|result| contract(known.params, &[*result])).collect(),
            };
            let what = format!("is {has}, the contract's is {}", forms.join(" or "));
            Error::from(ErrorKind::BadExport { name: known.name.into(), what })
        };
        if kind != ExternalKind::Func {
            return Err(bad("not a function".into()));
        }
        let ty = self.functions.get(index as usize).and_then(|ty| self.types.get(*ty as usize));
        let ty =
            ty.ok_or_else(|| invalid(format!("the export `{}` names a function that is not there", known.name)))?;
        let params = same(ty.params(), known.params.iter().map(|(_, ty)| ty));
        let result = match (known.results, ty.results()) {
            ([], []) => Some(None),
            (results, [result]) => results.iter().find(|known| wasm_type(known) == *result).map(|known| Some(*known)),
            _ => None,
        };
        match result {
            _ if unwired(Limit::Exports) => Ok(None),
            Some(result) if params => Ok(result),
            _ => Err(bad(ty.to_string())),
        }
    }
}

/// Checks a function's parts against their ceilings, and says how much work it is to compile.
fn within_ceilings(body: &FunctionBody<'_>) -> Result<u64, Error> {
    let range = body.range();
    let bytes = range.end - range.start;
    at_most("bytes in one function", bytes, MOST_FUNCTION_BYTES)?;
    let mut locals = 0;
    for group in body.get_locals_reader().map_err(invalid)? {
        let (count, _) = group.map_err(invalid)?;
        locals += u64::from(count);
        at_most("locals in one function", locals, MOST_LOCALS)?;
    }
    let (mut depth, mut targets, mut blocks) = (0_u64, 0_u64, 0_u64);
    for operator in body.get_operators_reader().map_err(invalid)? {
        match operator.map_err(invalid)? {
            Operator::Block { .. } | Operator::Loop { .. } | Operator::If { .. } => {
                blocks += 1;
                depth += 1;
                at_most("blocks nested in one another", depth, DEEPEST_NESTING)?;
            }
            Operator::End => depth = depth.saturating_sub(1),
            Operator::BrIf { .. } => blocks += 1,
            Operator::BrTable { targets: table } => {
                targets += u64::from(table.len());
                at_most("branch table targets in one function", targets, MOST_BRANCH_TARGETS)?;
            }
            _ => {}
        }
    }
    let work = compile_work(bytes, blocks, locals);
    at_most("units of work for the compiler in one function", work, MOST_WORK_IN_ONE_FUNCTION)?;
    Ok(work)
}

/// How much work a function is to compile.
///
/// Fitted to measurements of Cranelift in wasmer 7.4.2, whose time grows with the square of the number of blocks, and with
/// blocks times locals: 12,000 `if`s take 2.3 s, 15,000 of them over 500 locals 4.1 s, 20,000 small functions 3.5 s. It is
/// too high for functions that are mostly branches, by up to sixteen times, and for none too low by more than a half.
fn compile_work(bytes: u64, blocks: u64, locals: u64) -> u64 {
    150 + bytes + blocks * blocks / 64 + blocks * locals / 4
}

fn wasm_type(ty: &ValType) -> WasmType {
    match ty {
        ValType::I32 => WasmType::I32,
        ValType::I64 => WasmType::I64,
    }
}

fn same<'t>(has: &[WasmType], known: impl ExactSizeIterator<Item = &'t ValType>) -> bool {
    has.len() == known.len() && has.iter().zip(known).all(|(has, known)| *has == wasm_type(known))
}

/// A type of the contract, written the way wasmparser writes a module's.
fn contract(params: &[cis_wasm_abi::Param], results: &[ValType]) -> String {
    let types: Vec<_> = params.iter().map(|(_, ty)| wasm_type(ty)).collect();
    let results: Vec<_> = results.iter().map(wasm_type).collect();
    FuncType::new(types, results).to_string()
}
