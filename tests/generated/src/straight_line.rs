//! Functions without branches: there fuel has no slack, it is the number of instructions.

use arbitrary::{Result, Unstructured};
use cis_wasm_abi::{EXPORT_MEMORY, EXPORT_ON_EVENT};
use cis_wasm_runtime::LoadSpec;
use wasm_encoder::{
    BlockType, CodeSection, ConstExpr, ExportKind, ExportSection, Function, FunctionSection, GlobalSection, GlobalType,
    Instruction, MemArg, MemorySection, MemoryType, Module, TypeSection, ValType,
};

use crate::host::{granted, host};
use crate::outcome::{Ended, Seen, compilers, limits, load, name};
use crate::tally::Tally;

/// Runs functions without branches that are made from the bytes, and counts their instructions.
///
/// # Panics
///
/// When fuel is another number on any compiler, or the event does not end with its response.
pub fn straight_line(data: &[u8]) -> Tally {
    let mut tally = Tally::default();
    // An error means no more than that the bytes were used up.
    let Ok((wasm, instructions)) = program(&mut Unstructured::new(data)) else { return tally };
    for compiler in 0..compilers() {
        let mut spec = LoadSpec::new(granted(), host());
        spec.limits = limits(instructions);
        let skill = load(compiler, &wasm, spec).unwrap_or_else(|error| panic!("{}: {error}", name(compiler)));
        let seen = Seen::of(skill.run("event", b""));
        assert!(matches!(seen.ended, Ended::Answered(_)), "{}: {seen:?}", name(compiler));
        assert_eq!(seen.fuel, instructions, "{}: fuel is not the number of instructions", name(compiler));
    }
    tally.count("programs");
    tally
}

/// The most instructions of a program: a call of a call of a call multiplies them.
const MOST: u64 = 1_000_000;
/// Every function has these locals, and is called with the first of them.
const LOCALS: [ValType; 4] = [ValType::I32, ValType::I64, ValType::F32, ValType::F64];
/// The program has these globals.
const GLOBALS: [ValType; 2] = [ValType::I32, ValType::F64];

/// A module, and how many instructions its event runs.
pub(crate) fn program(u: &mut Unstructured<'_>) -> Result<(Vec<u8>, u64)> {
    let mut code = CodeSection::new();
    // What a call of each function runs.
    let mut costs = Vec::new();
    for _ in 0..u.int_in_range(0..=5)? {
        let locals = LOCALS[1..].iter().map(|local| (1, *local));
        let mut body = Body::new(Function::new(locals), 0);
        body.fill(u, &costs)?;
        costs.push(body.end(&mut code));
    }
    // The event's type and data come before the locals that every function has.
    let locals = LOCALS.iter().map(|local| (1, *local));
    let mut body = Body::new(Function::new(locals), 4);
    body.fill(u, &costs)?;
    let on_event = costs.len() as u32;
    let cost = body.end(&mut code);

    let mut types = TypeSection::new();
    types.ty().function([ValType::I32], [ValType::I32]);
    types.ty().function([ValType::I32; 4], [ValType::I32]);
    let mut functions = FunctionSection::new();
    for _ in 0..on_event {
        functions.function(0);
    }
    functions.function(1);
    let mut memories = MemorySection::new();
    memories.memory(MemoryType { minimum: 1, maximum: None, memory64: false, shared: false, page_size_log2: None });
    let mut globals = GlobalSection::new();
    for val_type in GLOBALS {
        let zero = if val_type == ValType::I32 { ConstExpr::i32_const(0) } else { ConstExpr::f64_const(0.0.into()) };
        globals.global(GlobalType { val_type, mutable: true, shared: false }, &zero);
    }
    let mut exports = ExportSection::new();
    exports.export(EXPORT_MEMORY, ExportKind::Memory, 0).export(EXPORT_ON_EVENT, ExportKind::Func, on_event);
    let mut module = Module::new();
    module.section(&types).section(&functions).section(&memories).section(&globals).section(&exports).section(&code);
    Ok((module.finish(), cost))
}

/// A function that is being written.
struct Body {
    function: Function,
    /// The types of what is on the stack.
    stack: Vec<ValType>,
    /// How many instructions run.
    cost: u64,
    /// The index of the first of [`LOCALS`].
    first_local: u32,
    /// Blocks that are open.
    open: u32,
}

impl Body {
    fn new(function: Function, first_local: u32) -> Self {
        Body { function, stack: Vec::new(), cost: 0, first_local, open: 0 }
    }

    fn fill(&mut self, u: &mut Unstructured<'_>, costs: &[u64]) -> Result<()> {
        for _ in 0..u.int_in_range(0..=300)? {
            self.step(u, costs)?;
        }
        Ok(())
    }

    /// Ends the function: what is left on the stack goes, and 0 is returned.
    fn end(mut self, code: &mut CodeSection) -> u64 {
        while self.open > 0 {
            self.structure(&Instruction::End);
            self.open -= 1;
        }
        while self.stack.pop().is_some() {
            self.run(&Instruction::Drop);
        }
        self.run(&Instruction::I32Const(0));
        self.structure(&Instruction::End);
        code.function(&self.function);
        self.cost
    }

    /// Writes an instruction that is run.
    fn run(&mut self, instruction: &Instruction<'_>) {
        self.function.instruction(instruction);
        self.cost += 1;
    }

    /// Writes an instruction that only gives structure.
    fn structure(&mut self, instruction: &Instruction<'_>) {
        self.function.instruction(instruction);
    }

    /// One more instruction, of those that what is on the stack allows.
    fn step(&mut self, u: &mut Unstructured<'_>, costs: &[u64]) -> Result<()> {
        use ValType::{F32, F64, I32, I64};
        let top = self.stack.last().copied();
        match (u.int_in_range(0..=9)?, top) {
            (0, Some(ty)) => {
                self.stack.pop();
                self.set(u, ty)?;
            }
            (1, Some(I32)) if !costs.is_empty() => self.call(u, costs)?,
            (2, Some(I32)) => self.memory(u)?,
            (3, _) if self.open < 8 => {
                // Blocks that nobody branches to; what is in them needs nothing from outside.
                let block = if u.arbitrary()? { Instruction::Block } else { Instruction::Loop };
                self.structure(&block(BlockType::Empty));
                self.structure(&Instruction::Nop);
                if u.arbitrary()? {
                    self.run(&Instruction::I32Const(u.arbitrary()?));
                    self.run(&Instruction::Drop);
                }
                self.structure(&Instruction::End);
            }
            (4..=6, Some(ty)) => self.operate(u, ty)?,
            (7, _) => {
                let local = u.choose_index(LOCALS.len())?;
                self.run(&Instruction::LocalGet(self.first_local + local as u32));
                self.stack.push(LOCALS[local]);
            }
            (8, _) => {
                let global = u.choose_index(GLOBALS.len())?;
                self.run(&Instruction::GlobalGet(global as u32));
                self.stack.push(GLOBALS[global]);
            }
            _ => {
                let ty = *u.choose(&LOCALS)?;
                self.run(&match ty {
                    I32 => Instruction::I32Const(u.arbitrary()?),
                    I64 => Instruction::I64Const(u.arbitrary()?),
                    F32 => Instruction::F32Const(u.arbitrary::<f32>()?.into()),
                    _ => Instruction::F64Const(u.arbitrary::<f64>()?.into()),
                });
                debug_assert!(matches!(ty, I32 | I64 | F32 | F64));
                self.stack.push(ty);
            }
        }
        Ok(())
    }

    /// Takes a value of this type off the stack.
    fn set(&mut self, u: &mut Unstructured<'_>, ty: ValType) -> Result<()> {
        let local = LOCALS.iter().position(|local| *local == ty).expect("every type has a local") as u32;
        let global = GLOBALS.iter().position(|global| *global == ty);
        match (u.int_in_range(0..=3)?, global) {
            (0, _) => self.run(&Instruction::Drop),
            (1, Some(global)) => self.run(&Instruction::GlobalSet(global as u32)),
            (2, _) => {
                self.run(&Instruction::LocalTee(self.first_local + local));
                self.stack.push(ty);
            }
            _ => self.run(&Instruction::LocalSet(self.first_local + local)),
        }
        Ok(())
    }

    /// Calls a function with the `i32` on the stack.
    fn call(&mut self, u: &mut Unstructured<'_>, costs: &[u64]) -> Result<()> {
        let callee = u.choose_index(costs.len())?;
        if self.cost + costs[callee] < MOST {
            self.run(&Instruction::Call(callee as u32));
            self.cost += costs[callee];
        }
        Ok(())
    }

    /// Loads from within memory, with the `i32` on the stack as an address.
    fn memory(&mut self, u: &mut Unstructured<'_>) -> Result<()> {
        self.run(&Instruction::I32Const(0xFFF8));
        self.run(&Instruction::I32And);
        let at = MemArg { offset: 0, align: u.int_in_range(0..=2)?, memory_index: 0 };
        let (load, ty) = u
            .choose(&[
                (Instruction::I32Load(at), ValType::I32),
                (Instruction::I64Load(at), ValType::I64),
                (Instruction::F32Load(at), ValType::F32),
                (Instruction::F64Load(at), ValType::F64),
            ])?
            .clone();
        if u.arbitrary()? {
            // The address a second time, for a store of what was loaded.
            let local = self.first_local;
            self.run(&Instruction::LocalTee(local));
            self.run(&Instruction::LocalGet(local));
            self.run(&load);
            self.run(&match ty {
                ValType::I32 => Instruction::I32Store(at),
                ValType::I64 => Instruction::I64Store(at),
                ValType::F32 => Instruction::F32Store(at),
                _ => Instruction::F64Store(at),
            });
            self.stack.pop();
        } else {
            self.run(&load);
            self.stack.pop();
            self.stack.push(ty);
        }
        Ok(())
    }

    /// An operation on the value on top of the stack, of this type, and on what is below when that is of the same.
    fn operate(&mut self, u: &mut Unstructured<'_>, ty: ValType) -> Result<()> {
        use Instruction as I;
        use ValType::{F32, F64, I32, I64};
        let two = self.stack.len() >= 2 && self.stack[self.stack.len() - 2] == ty;
        let (operation, result) = match (ty, two) {
            (I32, true) => (
                u.choose(&[I::I32Add, I::I32Sub, I::I32Mul, I::I32Xor, I::I32ShrU, I::I32Rotl, I::I32LtS])?.clone(),
                I32,
            ),
            (I64, true) if u.arbitrary()? => (u.choose(&[I::I64Eq, I::I64LtU, I::I64GeS])?.clone(), I32),
            (I64, true) => (u.choose(&[I::I64Add, I::I64Mul, I::I64And, I::I64Rotr])?.clone(), I64),
            (F32, true) => (u.choose(&[I::F32Add, I::F32Div, I::F32Min, I::F32Copysign])?.clone(), F32),
            (F64, true) => (u.choose(&[I::F64Sub, I::F64Mul, I::F64Max])?.clone(), F64),
            (I32, false) if u.arbitrary()? => (u.choose(&[I::I64ExtendI32S, I::I64ExtendI32U])?.clone(), I64),
            (I32, false) => (u.choose(&[I::I32Eqz, I::I32Clz, I::I32Popcnt, I::I32Extend8S])?.clone(), I32),
            (I64, false) if u.arbitrary()? => (u.choose(&[I::I32WrapI64, I::I64Eqz])?.clone(), I32),
            (I64, false) => (u.choose(&[I::I64Ctz, I::I64Extend32S])?.clone(), I64),
            (F32, false) => (u.choose(&[I::F32Sqrt, I::F32Nearest, I::F32Neg])?.clone(), F32),
            (F64, false) if u.arbitrary()? => (u.choose(&[I::I32TruncSatF64S, I::I32TruncSatF64U])?.clone(), I32),
            _ => (u.choose(&[I::F64Abs, I::F64Ceil])?.clone(), F64),
        };
        self.run(&operation);
        let taken = if two { 2 } else { 1 };
        self.stack.truncate(self.stack.len() - taken);
        self.stack.push(result);
        Ok(())
    }
}
