//! The rewriting of a module that passed the check.

use wasm_encoder::reencode::{Error as ReencodeError, Reencode};
use wasm_encoder::{
    BlockType, CodeSection, ConstExpr, EntityType, ExportKind, ExportSection, GlobalSection, GlobalType, ImportSection,
    Instruction, NameMap, NameSection, RawSection, TypeSection, ValType,
};
use wasmparser::{FunctionBody, KnownCustom, Name, Operator, Parser, Payload, TypeRef};

use super::plan::{Payment, payments};
use crate::error::{Error, ErrorKind};

/// Where the functions that metering adds are imported from. The check refuses a guest's own import from here.
pub(crate) const METER_MODULE: &str = "cis";
/// The import that is called when a slice is used up.
pub(crate) const REFUEL: &str = "refuel";
/// The export of the counter. No export of the guest's has this name: they are left out when they begin with this mark.
pub(crate) const FUEL_GLOBAL: &str = "cis:fuel";
/// The export of what was the start function, so that it runs under a meter as everything else.
pub(crate) const START: &str = "cis:start";
/// How many functions stand between the module's imports and its own.
pub(crate) const ADDED_FUNCTIONS: u32 = 1;

const OWN_EXPORTS: &str = "cis:";

/// Bulk operations pay one unit for so many bytes, as a power of two: 16 bytes.
const BULK_BYTES_SHIFT: i64 = 4;
/// `memory.grow` pays for the system call, and for each page as for 4 KiB of bulk memory.
const GROW_COST: u32 = 1_000;
const GROW_PAGE_SHIFT: i64 = -8;

/// Rewrites a module so that it counts its fuel.
pub(crate) fn rewrite(wasm: &[u8]) -> Result<Vec<u8>, Error> {
    let parts = Parts::gather(wasm).map_err(failed)?;
    parts.emit(wasm).map_err(failed)
}

fn failed(error: impl std::fmt::Display) -> Error {
    ErrorKind::Internal { message: format!("metering a valid module: {error}") }.into()
}

type Result_<T> = Result<T, ReencodeError>;

/// The sections in the order the format wants them, and the numbers that moved.
#[derive(Default)]
struct Parts<'a> {
    payloads: Vec<Payload<'a>>,
    types: u32,
    /// Parameters of each type.
    type_params: Vec<u32>,
    imported_functions: u32,
    imported_globals: u32,
    defined_globals: u32,
    /// Type of each defined function.
    function_types: Vec<u32>,
    start: Option<u32>,
}

/// Moves function indices.
struct Moved {
    imports: u32,
}

impl Reencode for Moved {
    type Error = std::convert::Infallible;

    fn function_index(&mut self, func: u32) -> Result_<u32> {
        Ok(if func < self.imports { func } else { func + ADDED_FUNCTIONS })
    }
}

impl<'a> Parts<'a> {
    fn gather(wasm: &'a [u8]) -> Result<Self, wasmparser::BinaryReaderError> {
        let mut parts = Parts::default();
        for payload in Parser::new(0).parse_all(wasm) {
            let payload = payload?;
            match &payload {
                Payload::TypeSection(types) => {
                    for ty in types.clone().into_iter_err_on_gc_types() {
                        parts.type_params.push(ty?.params().len() as u32);
                        parts.types += 1;
                    }
                }
                Payload::ImportSection(imports) => {
                    for import in imports.clone().into_imports() {
                        match import?.ty {
                            TypeRef::Func(_) => parts.imported_functions += 1,
                            TypeRef::Global(_) => parts.imported_globals += 1,
                            _ => {}
                        }
                    }
                }
                Payload::FunctionSection(functions) => {
                    for ty in functions.clone() {
                        parts.function_types.push(ty?);
                    }
                }
                Payload::GlobalSection(globals) => parts.defined_globals = globals.count(),
                Payload::StartSection { func, .. } => parts.start = Some(*func),
                _ => {}
            }
            parts.payloads.push(payload);
        }
        Ok(parts)
    }

    /// The type `() -> ()` that is added.
    fn refuel_type(&self) -> u32 {
        self.types
    }

    fn refuel_function(&self) -> u32 {
        self.imported_functions
    }

    fn fuel_global(&self) -> u32 {
        self.imported_globals + self.defined_globals
    }

    fn emit(&self, wasm: &[u8]) -> Result_<Vec<u8>> {
        let mut moved = Moved { imports: self.imported_functions };
        let mut module = wasm_encoder::Module::new();
        let mut names = None;

        let mut types = TypeSection::new();
        let mut imports = ImportSection::new();
        let mut globals = GlobalSection::new();
        let mut exports = ExportSection::new();
        let mut code = CodeSection::new();
        let mut code_index = 0;
        for payload in &self.payloads {
            match payload {
                Payload::TypeSection(section) => moved.parse_type_section(&mut types, section.clone())?,
                Payload::ImportSection(section) => moved.parse_import_section(&mut imports, section.clone())?,
                Payload::GlobalSection(section) => moved.parse_global_section(&mut globals, section.clone())?,
                Payload::ExportSection(section) => {
                    for export in section.clone() {
                        let export = export?;
                        if !export.name.starts_with(OWN_EXPORTS) {
                            moved.parse_export(&mut exports, export)?;
                        }
                    }
                }
                Payload::CodeSectionEntry(body) => {
                    let ty = self.function_types.get(code_index).copied().unwrap_or(0);
                    let params = self.type_params.get(ty as usize).copied().unwrap_or(0);
                    self.function(&mut moved, &mut code, body, params)?;
                    code_index += 1;
                }
                Payload::CustomSection(section) => {
                    if let KnownCustom::Name(section) = section.as_known() {
                        names = Some(section);
                    }
                }
                _ => {}
            }
        }
        types.ty().function([], []);
        imports.import(METER_MODULE, REFUEL, EntityType::Function(self.refuel_type()));
        let counter = GlobalType { val_type: ValType::I64, mutable: true, shared: false };
        globals.global(counter, &ConstExpr::i64_const(0));
        exports.export(FUEL_GLOBAL, ExportKind::Global, self.fuel_global());
        if let Some(start) = self.start {
            exports.export(START, ExportKind::Func, moved.function_index(start)?);
        }

        module.section(&types).section(&imports);
        self.copy(&mut module, wasm, |payload| matches!(payload, Payload::FunctionSection(_)));
        self.encoded(&mut module, |payload, module| {
            if let Payload::TableSection(section) = payload {
                let mut tables = wasm_encoder::TableSection::new();
                moved.parse_table_section(&mut tables, section.clone())?;
                module.section(&tables);
            }
            Ok(())
        })?;
        self.copy(&mut module, wasm, |payload| matches!(payload, Payload::MemorySection(_)));
        module.section(&globals).section(&exports);
        self.encoded(&mut module, |payload, module| {
            if let Payload::ElementSection(section) = payload {
                let mut elements = wasm_encoder::ElementSection::new();
                moved.parse_element_section(&mut elements, section.clone())?;
                module.section(&elements);
            }
            Ok(())
        })?;
        self.encoded(&mut module, |payload, module| {
            if let Payload::DataCountSection { count, .. } = payload {
                module.section(&wasm_encoder::DataCountSection { count: *count });
            }
            Ok(())
        })?;
        module.section(&code);
        // A data segment's offset cannot name a function, so its bytes stay.
        self.copy(&mut module, wasm, |payload| matches!(payload, Payload::DataSection(_)));
        if let Some(names) = names.and_then(|section| function_names(section, &mut moved)) {
            module.section(&names);
        }
        Ok(module.finish())
    }

    /// Copies a section as it is.
    fn copy(&self, module: &mut wasm_encoder::Module, wasm: &[u8], pick: impl Fn(&Payload<'_>) -> bool) {
        for payload in self.payloads.iter().filter(|payload| pick(payload)) {
            if let Some((id, range)) = payload.as_section() {
                let data = &wasm[range.start as usize..range.end as usize];
                module.section(&RawSection { id, data });
            }
        }
    }

    fn encoded(
        &self,
        module: &mut wasm_encoder::Module,
        mut emit: impl FnMut(&Payload<'a>, &mut wasm_encoder::Module) -> Result_<()>,
    ) -> Result_<()> {
        self.payloads.iter().try_for_each(|payload| emit(payload, module))
    }

    /// One function, with its payments.
    fn function(&self, moved: &mut Moved, code: &mut CodeSection, body: &FunctionBody<'_>, params: u32) -> Result_<()> {
        let payments = payments(body)?;
        let mut locals = Vec::new();
        let mut first_free = params;
        for group in body.get_locals_reader()? {
            let (count, ty) = group?;
            first_free += count;
            locals.push((count, moved.val_type(ty)?));
        }
        locals.push((1, ValType::I64));
        locals.push((1, ValType::I32));
        let mut out = Metered {
            function: wasm_encoder::Function::new(locals),
            left: first_free,
            length: first_free + 1,
            fuel: self.fuel_global(),
            refuel: self.refuel_function(),
        };
        let mut due = payments.iter().peekable();
        for (index, operator) in body.get_operators_reader()?.into_iter().enumerate() {
            if let Some(Payment { cost, .. }) = due.next_if(|payment| payment.before == index) {
                out.pay(*cost);
            }
            let operator = operator?;
            out.pay_by_length(&operator);
            out.function.instruction(&moved.instruction(operator)?);
        }
        code.function(&out.function);
        Ok(())
    }
}

/// A function being written.
struct Metered {
    function: wasm_encoder::Function,
    /// A local of its own, for the counter's new value.
    left: u32,
    /// A local of its own, for a bulk operation's length.
    length: u32,
    fuel: u32,
    refuel: u32,
}

impl Metered {
    fn pay(&mut self, cost: u32) {
        self.function.instruction(&Instruction::GlobalGet(self.fuel));
        self.function.instruction(&Instruction::I64Const(i64::from(cost)));
        self.settle();
    }

    /// Subtracts what is on the stack from what is below it, and asks for more when that falls below zero.
    fn settle(&mut self) {
        self.function
            .instruction(&Instruction::I64Sub)
            .instruction(&Instruction::LocalTee(self.left))
            .instruction(&Instruction::GlobalSet(self.fuel))
            .instruction(&Instruction::LocalGet(self.left))
            .instruction(&Instruction::I64Const(0))
            .instruction(&Instruction::I64LtS)
            .instruction(&Instruction::If(BlockType::Empty))
            .instruction(&Instruction::Call(self.refuel))
            .instruction(&Instruction::End);
    }

    /// An operation over a length pays for it beforehand. The length is on top of the stack and stays there.
    fn pay_by_length(&mut self, operator: &Operator<'_>) {
        let shift = match operator {
            Operator::MemoryCopy { .. } | Operator::MemoryFill { .. } | Operator::MemoryInit { .. } => BULK_BYTES_SHIFT,
            Operator::TableCopy { .. }
            | Operator::TableFill { .. }
            | Operator::TableInit { .. }
            | Operator::TableGrow { .. } => 0,
            Operator::MemoryGrow { .. } => {
                self.pay(GROW_COST);
                GROW_PAGE_SHIFT
            }
            _ => return,
        };
        self.function
            .instruction(&Instruction::LocalTee(self.length))
            .instruction(&Instruction::GlobalGet(self.fuel))
            .instruction(&Instruction::LocalGet(self.length))
            .instruction(&Instruction::I64ExtendI32U)
            .instruction(&Instruction::I64Const(shift.abs()))
            .instruction(if shift < 0 { &Instruction::I64Shl } else { &Instruction::I64ShrU });
        self.settle();
    }
}

/// The names of functions, moved. A name section that does not parse is not an error: it is left out.
fn function_names(section: wasmparser::NameSectionReader<'_>, moved: &mut Moved) -> Option<NameSection> {
    let mut names = NameSection::new();
    for name in section {
        if let Ok(Name::Function(functions)) = name {
            let mut map = NameMap::new();
            for naming in functions {
                let naming = naming.ok()?;
                map.append(moved.function_index(naming.index).ok()?, naming.name);
            }
            names.functions(&map);
        }
    }
    Some(names)
}
