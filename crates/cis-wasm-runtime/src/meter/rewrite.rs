//! The rewriting of a module that passed the check.

use std::collections::BTreeSet;

use cis_wasm_abi::{EXPORT_MEMORY, EXPORTS};
use cis_wasm_host::unwired::{Limit, unwired};
use wasm_encoder::reencode::{Error as ReencodeError, Reencode};
use wasm_encoder::{
    BlockType, CodeSection, EntityType, ExportKind, ExportSection, FunctionSection, GlobalSection, GlobalType,
    ImportSection, Instruction, NameMap, NameSection, RawSection, TypeSection, ValType,
};
use wasmparser::{
    ConstExpr, ElementItems, ExternalKind, FuncType, FunctionBody, KnownCustom, Name, Operator, Parser, Payload,
    TypeRef,
};

use super::bill::{Bill, Bills, Counter, Module, Payment};
use super::bulk::{self, is_copy};
use super::pieces;
use super::plan::{Plan, is_bulk};
use super::unroll;
use crate::error::{Error, ErrorKind};
use crate::lasting;

/// Where the functions that metering adds are imported from. The check refuses a guest's own import from here.
pub(crate) const METER_MODULE: &str = "cis";
/// The import that is called when a slice is used up.
pub(crate) const REFUEL: &str = "refuel";
/// The export of what was the start function, so that it runs under a meter as everything else. No export of the guest's has
/// this name, nor the others of ours: those that are not of the contract are left out.
pub(crate) const START: &str = "cis:start";
/// The exports of the module's first function and of one behind its last: the code in between is the guest's.
pub(crate) const CODE_BEGIN: &str = "cis:begin";
pub(crate) const CODE_END: &str = "cis:end";
/// An export of modules with state that cannot be set back, of its memory: there to be found. See [`crate::lasting`].
pub(crate) const LASTING: &str = "cis:lasting";
/// How many functions stand between the module's imports and its own.
pub(crate) const ADDED_FUNCTIONS: u32 = 1;

/// The longest function name that is kept for errors, in bytes: a trap in a deep recursion names a function often.
const LONGEST_NAME: usize = 256;

/// Bulk operations pay one unit for so many bytes, as a power of two: 16 bytes.
const BULK_BYTES_SHIFT: i64 = 4;
/// `memory.grow` pays for the system call, and for each page as for 4 KiB of bulk memory.
const GROW_COST: u32 = 1_000;
const GROW_PAGE_SHIFT: i64 = -8;

/// Whether a module's code pays for itself, and what it does when it cannot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Metering {
    /// It traps: it has all its fuel from the beginning, and a deadline stops it from outside.
    #[default]
    Traps,
    /// It asks the host for the next slice, which looks at the clock.
    Asks,
    /// It does not pay: nothing ends it. For measuring what paying costs.
    #[cfg(feature = "unmetered")]
    Off,
}

impl Metering {
    /// Whether code pays.
    fn pays(self) -> bool {
        matches!(self, Metering::Traps | Metering::Asks)
    }
}

/// Rewrites a module so that it counts its fuel. Its data `segments` have these lengths, and do not pass here.
pub(crate) fn rewrite(wasm: &[u8], segments: &[u32], metering: Metering) -> Result<Vec<u8>, Error> {
    let mut parts = Parts::gather(wasm, metering).map_err(failed)?;
    parts.segments = segments;
    parts.lasts = lasting::lasts(wasm).map_err(failed)?;
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
    types: Vec<FuncType>,
    imported_functions: u32,
    imported_globals: u32,
    defined_globals: u32,
    /// Type of each defined function.
    function_types: Vec<u32>,
    /// Functions that the host calls.
    called_by_host: BTreeSet<u32>,
    /// Functions that may be in a table.
    in_tables: BTreeSet<u32>,
    /// What each function pays.
    plans: Vec<Plan>,
    /// The functions that copy and fill memory, if the module does either.
    copying: Option<bulk::Functions>,
    start: Option<u32>,
    /// The length of each data segment in bytes.
    segments: &'a [u32],
    metering: Metering,
    /// Whether it has state that cannot be set back.
    lasts: bool,
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
    fn gather(wasm: &'a [u8], metering: Metering) -> Result<Self, wasmparser::BinaryReaderError> {
        let mut parts = Parts { metering, ..Parts::default() };
        for payload in Parser::new(0).parse_all(wasm) {
            let payload = payload?;
            match &payload {
                Payload::TypeSection(types) => {
                    for ty in types.clone().into_iter_err_on_gc_types() {
                        parts.types.push(ty?);
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
                Payload::GlobalSection(globals) => {
                    parts.defined_globals = globals.count();
                    for global in globals.clone() {
                        parts.note_references(&global?.init_expr)?;
                    }
                }
                Payload::StartSection { func, .. } => {
                    parts.start = Some(*func);
                    parts.called_by_host.insert(*func);
                }
                Payload::ExportSection(exports) => {
                    for export in exports.clone() {
                        let export = export?;
                        if export.kind == ExternalKind::Func {
                            parts.called_by_host.insert(export.index);
                        }
                    }
                }
                Payload::ElementSection(elements) => {
                    for element in elements.clone() {
                        parts.note_in_tables(&element?.items)?;
                    }
                }
                Payload::CodeSectionEntry(body) => parts.plans.push(Plan::of(body, metering.pays())?),
                _ => {}
            }
            parts.payloads.push(payload);
        }
        let copies = parts.plans.iter().any(|plan| plan.has_copies);
        parts.copying = copies.then(|| bulk::Functions { first: parts.first_added() });
        Ok(parts)
    }

    /// Functions get into tables through element segments alone: `ref.func` in code must name one that a segment, an
    /// export or a global names too, and those are noted.
    fn note_in_tables(&mut self, items: &ElementItems<'_>) -> Result<(), wasmparser::BinaryReaderError> {
        match items {
            ElementItems::Functions(functions) => {
                for function in functions.clone() {
                    self.in_tables.insert(function?);
                }
            }
            ElementItems::Expressions(_, expressions) => {
                for expression in expressions.clone() {
                    self.note_references(&expression?)?;
                }
            }
        }
        Ok(())
    }

    fn note_references(&mut self, expression: &ConstExpr<'_>) -> Result<(), wasmparser::BinaryReaderError> {
        for operator in expression.get_operators_reader() {
            if let Operator::RefFunc { function_index } = operator? {
                self.in_tables.insert(function_index);
            }
        }
        Ok(())
    }

    /// The type `() -> ()` that is added.
    fn refuel_type(&self) -> u32 {
        self.types.len() as u32
    }

    fn refuel_function(&self) -> u32 {
        self.imported_functions
    }

    fn fuel_global(&self) -> u32 {
        self.imported_globals + self.defined_globals
    }

    /// The first function behind the module's own.
    fn first_added(&self) -> u32 {
        self.imported_functions + ADDED_FUNCTIONS + self.function_types.len() as u32
    }

    fn emit(&self, wasm: &[u8]) -> Result_<Vec<u8>> {
        let mut moved = Moved { imports: self.imported_functions };
        let mut module = wasm_encoder::Module::new();
        let mut names = None;

        let mut types = TypeSection::new();
        let mut imports = ImportSection::new();
        let mut functions = FunctionSection::new();
        let mut globals = GlobalSection::new();
        let mut exports = ExportSection::new();
        let mut code = CodeSection::new();
        let mut code_index = 0;
        let bills = self.bills();
        for payload in &self.payloads {
            match payload {
                Payload::TypeSection(section) => moved.parse_type_section(&mut types, section.clone())?,
                Payload::ImportSection(section) => moved.parse_import_section(&mut imports, section.clone())?,
                Payload::FunctionSection(section) => moved.parse_function_section(&mut functions, section.clone())?,
                Payload::GlobalSection(section) => moved.parse_global_section(&mut globals, section.clone())?,
                Payload::ExportSection(section) => {
                    for export in section.clone() {
                        let export = export?;
                        if of_the_contract(export.name) {
                            moved.parse_export(&mut exports, export)?;
                        }
                    }
                }
                Payload::CodeSectionEntry(body) => {
                    code.function(&self.function(&mut moved, bills.as_ref(), code_index, body)?);
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
        let mut end = self.first_added();
        if let Some(copying) = self.copying {
            let ty = types.len();
            types.ty().function(bulk::PARAMS, []);
            let counter = if bills.is_some() { Counter::Global } else { Counter::Unused };
            for body in copying.bodies(|first_free, locals| self.metered(first_free, locals, counter, true)) {
                functions.function(ty);
                code.function(&body);
                end += 1;
            }
        }
        functions.function(self.refuel_type());
        code.function(wasm_encoder::Function::new([]).instruction(&Instruction::End));
        let counter = GlobalType { val_type: ValType::I64, mutable: true, shared: false };
        globals.global(counter, &wasm_encoder::ConstExpr::i64_const(0));
        exports.export(CODE_BEGIN, ExportKind::Func, self.imported_functions + ADDED_FUNCTIONS);
        exports.export(CODE_END, ExportKind::Func, end);
        if let Some(start) = self.start {
            exports.export(START, ExportKind::Func, moved.function_index(start)?);
        }
        if self.lasts {
            exports.export(LASTING, ExportKind::Memory, 0);
        }

        module.section(&types).section(&imports);
        module.section(&functions);
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
        module.section(&code);
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

    /// What each function pays, if any does.
    fn bills(&self) -> Option<Bills> {
        let module = Module {
            types: &self.types,
            imported: self.imported_functions,
            function_types: &self.function_types,
            called_by_host: &self.called_by_host,
            in_tables: &self.in_tables,
        };
        self.metering.pays().then(|| Bills::of(&module, &self.plans))
    }

    /// One function, with its payments.
    fn function(
        &self,
        moved: &mut Moved,
        bills: Option<&Bills>,
        index: usize,
        body: &FunctionBody<'_>,
    ) -> Result_<wasm_encoder::Function> {
        let ty = self.function_types.get(index).and_then(|ty| self.types.get(*ty as usize));
        let mut first_free = ty.map_or(0, |ty| ty.params().len() as u32);
        let mut locals = Vec::new();
        for group in body.get_locals_reader()? {
            let (count, ty) = group?;
            first_free += count;
            locals.push((count, moved.val_type(ty)?));
        }
        let unpaid = Bill { counter: Counter::Unused, payments: Vec::new() };
        let bill = bills.map_or(&unpaid, |bills| bills.bill(index));
        let plan = &self.plans[index];
        // Of operations that nothing leads to, none is split.
        let splits = !plan.bulk.is_empty();
        let mut out = self.metered(first_free, locals, bill.counter, splits);
        let mut due = bill.payments.iter().peekable();
        let mut constant = None;
        let operators = body.get_operators_reader()?.into_iter().collect::<Result<Vec<_>, _>>()?;
        for (index, operator) in unroll::written_out(operators, &plan.twice).into_iter().enumerate() {
            if let Some(payment) = due.next_if(|payment| payment.before == index) {
                out.pay(payment);
            }
            let touches = match &operator {
                Operator::Call { function_index } => bills.is_some_and(|bills| bills.touches(*function_index)),
                Operator::CallIndirect { .. } => true,
                operator => bills.is_some() && is_bulk(operator),
            };
            let sees = match &operator {
                Operator::Call { function_index } => bills.is_some_and(|bills| bills.sees(*function_index)),
                _ => touches,
            };
            out.before(&operator, sees);
            let length = constant.take();
            if let Operator::I32Const { value } = &operator {
                constant = Some(*value);
            }
            match self.copying.and_then(|copying| copying.instead_of(&operator, length)) {
                Some(function) => out.function.instruction(&Instruction::Call(function)),
                None => out.function.instruction(&moved.instruction(operator.clone())?),
            };
            out.after(&operator, touches);
        }
        Ok(out.function)
    }

    /// A function that begins with these locals, and with those that it pays by, from `first_free` on.
    fn metered(&self, first_free: u32, mut locals: Vec<(u32, ValType)>, counter: Counter, splits: bool) -> Metered<'a> {
        if counter != Counter::Unused {
            locals.push((1, ValType::I64));
            locals.push((1, ValType::I32));
            if splits {
                locals.push((pieces::LOCALS, ValType::I32));
            }
        }
        Metered {
            function: wasm_encoder::Function::new(locals),
            counter,
            left: first_free,
            length: first_free + 1,
            fuel: self.fuel_global(),
            refuel: self.refuel_function(),
            segments: self.segments,
            splits,
            exhausted: self.metering,
            open: 0,
            copied: Copied::Old,
        }
    }
}

/// A function being written.
pub(super) struct Metered<'a> {
    pub(super) function: wasm_encoder::Function,
    counter: Counter,
    /// A local of its own: the counter, or its new value.
    left: u32,
    /// A local of its own, for a bulk operation's length. Behind it are those of an operation that is done in pieces.
    pub(super) length: u32,
    fuel: u32,
    refuel: u32,
    /// The length of each data segment.
    segments: &'a [u32],
    /// Whether it has the locals for doing operations in pieces.
    splits: bool,
    exhausted: Metering,
    /// How many blocks are open.
    open: u32,
    /// How the copy of the counter stands to the global, where there is one.
    copied: Copied,
}

/// How the copy of a counter stands to the global, at one place of the code.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Copied {
    /// The global may have changed.
    Old,
    /// Both are the same.
    Even,
    /// The copy may have changed.
    New,
}

impl Metered<'_> {
    /// What has to be done before an instruction. `sees` says whether it may lead to somebody who looks at the counter.
    fn before(&mut self, operator: &Operator<'_>, sees: bool) {
        let open = self.open;
        // Whether it leaves the function, and whether it may get to where control gets from elsewhere too.
        let (leaves, meets) = match operator {
            Operator::Block { .. } => {
                self.open += 1;
                (false, false)
            }
            Operator::Loop { .. } | Operator::If { .. } => {
                self.open += 1;
                (false, true)
            }
            Operator::End => {
                self.open = open.saturating_sub(1);
                (open == 0, open != 0)
            }
            Operator::Else => (false, true),
            Operator::Return | Operator::Unreachable => (true, false),
            Operator::Br { relative_depth } => (*relative_depth == open, *relative_depth != open),
            Operator::BrIf { relative_depth } => (*relative_depth == open, *relative_depth != open),
            Operator::BrTable { targets } => {
                let all = || targets.targets().flatten().chain([targets.default()]);
                (all().any(|target| target == open), all().any(|target| target != open))
            }
            _ => (sees, false),
        };
        if leaves && self.copied == Copied::New {
            self.put_counter();
            self.copied = Copied::Even;
        }
        if meets && self.copied == Copied::Old {
            self.take_counter();
        }
        if !is_copy(operator) {
            self.pay_by_length(operator);
        }
    }

    /// What is known after an instruction. `touches` says whether it may have changed the counter.
    fn after(&mut self, operator: &Operator<'_>, touches: bool) {
        match operator {
            _ if touches => self.copied = Copied::Old,
            // Control gets there from elsewhere too, with a copy that is not old.
            Operator::Loop { .. } | Operator::Else | Operator::End => self.copied = Copied::New,
            // Nothing that follows is reached.
            Operator::Br { .. } | Operator::BrTable { .. } | Operator::Return | Operator::Unreachable => {
                self.copied = Copied::Even;
            }
            _ => {}
        }
    }

    /// Pays, when there is enough. It looks first and subtracts then: so a register that holds the counter can be subtracted
    /// from in place.
    fn pay(&mut self, payment: &Payment) {
        let cost = i64::from(payment.cost);
        if self.copied == Copied::Old {
            self.take_counter();
        }
        self.read();
        self.function.instructions().i64_const(cost).i64_lt_s().if_(BlockType::Empty);
        // Below zero, for all to see.
        self.read();
        self.function.instructions().i64_const(cost).i64_sub().global_set(self.fuel);
        if self.exhausted == Metering::Asks {
            self.function.instructions().call(self.refuel).global_get(self.fuel).i64_const(cost).i64_add();
            self.write();
        } else {
            self.trap();
        }
        self.function.instructions().end();
        self.read();
        self.function.instructions().i64_const(cost).i64_sub();
        self.write();
        self.copied = if self.counter == Counter::Local { Copied::New } else { Copied::Even };
    }

    /// Subtracts from the counter, and leaves its new value on the stack.
    fn subtract_what_is_on_the_stack(&mut self) {
        self.function
            .instruction(&Instruction::I64Sub)
            .instruction(&Instruction::LocalTee(self.left))
            .instruction(&Instruction::GlobalSet(self.fuel))
            .instruction(&Instruction::LocalGet(self.left));
        self.copied = Copied::Even;
    }

    fn read(&mut self) {
        self.function.instruction(&match (self.counter, self.copied) {
            (Counter::Local, Copied::Even | Copied::New) => Instruction::LocalGet(self.left),
            _ => Instruction::GlobalGet(self.fuel),
        });
    }

    /// Makes what is on the stack the counter's value, where it is kept.
    fn write(&mut self) {
        self.function.instruction(&match self.counter {
            Counter::Local => Instruction::LocalSet(self.left),
            _ => Instruction::GlobalSet(self.fuel),
        });
    }

    /// Brings the copy of the counter up to date, where there is one.
    fn take_counter(&mut self) {
        if self.counter == Counter::Local {
            self.function
                .instruction(&Instruction::GlobalGet(self.fuel))
                .instruction(&Instruction::LocalSet(self.left));
            self.copied = Copied::Even;
        }
    }

    /// Brings the global up to date, where there is a copy.
    fn put_counter(&mut self) {
        if self.counter == Counter::Local {
            self.function
                .instruction(&Instruction::LocalGet(self.left))
                .instruction(&Instruction::GlobalSet(self.fuel));
        }
    }

    /// Ends the run, or asks for more, when the counter's value, on the stack and in the global, is below zero.
    fn settle(&mut self) {
        self.function.instructions().i64_const(0).i64_lt_s().if_(BlockType::Empty);
        if self.exhausted == Metering::Asks {
            self.look_at_the_clock();
        } else {
            self.trap();
        }
        self.function.instructions().end();
    }

    /// Ends the run in guest code: `unreachable` is a trap of the engine's (see [`crate::headroom`]), and comes after one that
    /// is not.
    fn trap(&mut self) {
        if !unwired(Limit::Headroom) {
            self.function.instructions().i32_const(1).i32_const(0).i32_div_u().drop();
        }
        self.function.instructions().unreachable();
    }

    /// Calls the host, for the next slice or before the last one is used up: it adds up just the same.
    pub(super) fn look_at_the_clock(&mut self) {
        self.function.instruction(&Instruction::Call(self.refuel));
        self.take_counter();
    }

    /// An operation over a length pays for it beforehand. The length is on top of the stack and stays there.
    pub(super) fn pay_by_length(&mut self, operator: &Operator<'_>) {
        if self.counter == Counter::Unused || unwired(Limit::Bulk) {
            return;
        }
        let shift = match operator {
            Operator::MemoryCopy { .. } | Operator::MemoryFill { .. } | Operator::MemoryInit { .. } => BULK_BYTES_SHIFT,
            Operator::TableCopy { .. }
            | Operator::TableFill { .. }
            | Operator::TableInit { .. }
            | Operator::TableGrow { .. } => 0,
            Operator::MemoryGrow { .. } => {
                self.pay(&Payment { before: 0, cost: GROW_COST });
                GROW_PAGE_SHIFT
            }
            _ => return,
        };
        self.function.instruction(&Instruction::LocalSet(self.length));
        self.read();
        self.function
            .instruction(&Instruction::LocalGet(self.length))
            .instruction(&Instruction::I64ExtendI32U)
            .instruction(&Instruction::I64Const(shift.abs()))
            .instruction(if shift < 0 { &Instruction::I64Shl } else { &Instruction::I64ShrU });
        self.subtract_what_is_on_the_stack();
        self.settle();
        self.function.instruction(&Instruction::LocalGet(self.length));
        if self.splits && pieces::is_split(operator) {
            self.do_pieces(operator, self.segments);
        }
    }
}

/// Whether the host looks for an export of this name. The others would be copied, name and all, for every instance.
fn of_the_contract(name: &str) -> bool {
    name == EXPORT_MEMORY || EXPORTS.iter().any(|export| export.name == name)
}

/// The names of functions, moved. A name section that does not parse is not an error: it is left out.
fn function_names(section: wasmparser::NameSectionReader<'_>, moved: &mut Moved) -> Option<NameSection> {
    let mut names = NameSection::new();
    for name in section {
        if let Ok(Name::Function(functions)) = name {
            let mut map = NameMap::new();
            for naming in functions {
                let naming = naming.ok()?;
                let end = if unwired(Limit::Names) { naming.name.len() } else { LONGEST_NAME };
                let name = &naming.name[..naming.name.floor_char_boundary(end)];
                map.append(moved.function_index(naming.index).ok()?, name);
            }
            names.functions(&map);
        }
    }
    Some(names)
}
