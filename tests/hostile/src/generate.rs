//! Modules that are too large to be written by hand, or that no assembler writes.

use std::borrow::Cow;

use wasm_encoder::{
    BlockType, CodeSection, ConstExpr, CustomSection, DataSection, ElementSection, Elements, EntityType, ExportKind,
    ExportSection, Function, FunctionSection, GlobalSection, GlobalType, ImportSection, Instruction, MemorySection,
    MemoryType, Module, NameMap, NameSection, RawSection, RefType, TableSection, TableType, TypeSection, ValType,
};

/// The module of a generator.
pub(crate) fn generate(name: &str, numbers: &[u64]) -> Result<Vec<u8>, String> {
    let number = |index: usize| {
        numbers.get(index).copied().ok_or_else(|| format!("`{name}` takes more than {} numbers", numbers.len()))
    };
    let mut skill = Skill::new();
    match name {
        "functions" => (0..number(0)?).for_each(|_| skill.function(skill.ends, &Function::new([]))),
        "types" => {
            for _ in 0..number(0)? {
                skill.types.ty().function(vec![ValType::I64; number(1)? as usize], []);
            }
        }
        "exports" => {
            for index in 0..number(0)? {
                skill.exports.export(&format!("e{index}"), ExportKind::Memory, 0);
            }
        }
        "globals" => {
            let ty = GlobalType { val_type: ValType::I32, mutable: true, shared: false };
            for _ in 0..number(0)? {
                skill.globals.global(ty, &ConstExpr::i32_const(0));
            }
        }
        "tables" => (0..number(0)?).for_each(|_| skill.table(0)),
        "imports" => {
            let log = skill.types.len();
            skill.types.ty().function([ValType::I32; 3], []);
            for _ in 0..number(0)? {
                skill.imports.import("env", "host_log", EntityType::Function(log));
            }
            skill.imported = number(0)? as u32;
        }
        "data-segments" => {
            for _ in 0..number(0)? {
                skill.data.passive([]);
            }
        }
        "element-segments" => {
            for _ in 0..number(0)? {
                skill.elements.passive(Elements::Functions(Cow::Borrowed(&[])));
            }
        }
        "elements" => {
            skill.elements.passive(Elements::Functions(vec![0; number(0)? as usize].into()));
        }
        "function-bytes" => {
            let mut body = Function::new([]);
            for _ in 0..number(0)? / 4 {
                body.instruction(&Instruction::I32Const(1000)).instruction(&Instruction::Drop);
            }
            skill.function(skill.ends, &body);
        }
        "locals" => {
            let count = u32::try_from(number(0)?).map_err(|error| error.to_string())?;
            skill.function(skill.ends, &Function::new([(count, ValType::I64)]));
        }
        "many-locals" => {
            for _ in 0..number(0)? {
                skill.function(skill.ends, &Function::new([(number(1)? as u32, ValType::I64)]));
            }
        }
        "nesting" => {
            let mut body = Function::new([]);
            put(&mut body, &vec![Instruction::Block(BlockType::Empty); number(0)? as usize]);
            put(&mut body, &vec![Instruction::End; number(0)? as usize]);
            skill.function(skill.ends, &body);
        }
        "branch-table" => {
            let mut body = Function::new([]);
            body.instruction(&Instruction::I32Const(0));
            body.instruction(&Instruction::BrTable(vec![0; number(0)? as usize].into(), 0));
            skill.function(skill.ends, &body);
        }
        "names-section" => {
            skill.names = Some(names(&[(0, &"n".repeat(number(0)? as usize))]));
        }
        // So many bytes: in memory from the start, or for the guest to put there.
        "data" => {
            skill.rewritten();
            let bytes = number(0)?;
            skill.memory_pages = bytes.div_ceil(0x10000).max(1);
            skill.data.active(0, &ConstExpr::i32_const(0), vec![b'd'; bytes as usize]);
        }
        "passive-data" => {
            skill.rewritten();
            skill.data.passive(vec![b'd'; number(0)? as usize]);
        }
        "custom-sections" => skill.customs = number(0)?,
        "bytes" => {
            let mut wasm = skill.finish();
            // Before the padding stand a section's number, a length of four bytes, and a name with its length.
            let room = (number(0)? as usize).saturating_sub(wasm.len() + 1 + 4 + 8);
            let section = CustomSection { name: "padding".into(), data: vec![0; room].into() };
            let mut padding = Module::new();
            padding.section(&section);
            wasm.extend_from_slice(&padding.finish()[8..]);
            let made = wasm.len() as u64;
            return if made == number(0)? { Ok(wasm) } else { Err(format!("it has {made} bytes")) };
        }
        "deep-call" => skill.deep_call(number(0)? as usize, number(1)? as usize),
        "deep-locals" => skill.deep_locals(number(0)? as u32),
        "name-bomb" => {
            let deep = skill.recursion_to_unreachable();
            skill.handler(&[Instruction::I32Const(number(1)? as i32), Instruction::Call(deep)]);
            skill.names = Some(names(&[(deep, &"A".repeat(number(0)? as usize))]));
        }
        "bad-names" => {
            skill.handler(&[Instruction::Unreachable]);
            let mut names = names(&[(7_000_000, "nobody"), (0, "twice"), (0, "twice"), (u32::MAX, "\u{0}\u{202e}")]);
            names.truncate(names.len() - 3);
            skill.names = Some(names);
        }
        "duplicate-exports" => {
            let init = skill.types.len();
            skill.types.ty().function([], [ValType::I32]);
            let mut body = Function::new([]);
            body.instruction(&Instruction::I32Const(0)).instruction(&Instruction::End);
            for _ in 0..2 {
                let index = skill.functions_before();
                skill.functions.function(init);
                skill.code.function(&body);
                skill.exports.export("skill_init", ExportKind::Func, index);
            }
        }
        "truncated" => {
            let wasm = skill.finish();
            return Ok(wasm[..wasm.len() / 2].to_vec());
        }
        "out-of-order" => {
            let mut module = Module::new();
            module.section(&CodeSection::new()).section(&TypeSection::new());
            return Ok(module.finish());
        }
        "long-section" => {
            let mut wasm = skill.finish();
            wasm.extend([0, 100, 1, b'x']);
            return Ok(wasm);
        }
        "leb-bomb" => {
            let mut wasm = Module::new().finish();
            wasm.push(1);
            wasm.resize(wasm.len() + 100, 0x80);
            wasm.push(0);
            return Ok(wasm);
        }
        "component" => return Ok(b"\0asm\x0d\0\x01\0".to_vec()),
        "text" => return Ok(b"#!/bin/sh\necho pwned\n".to_vec()),
        _ => return Err(format!("there is no generator `{name}`")),
    }
    Ok(skill.finish())
}

fn put(body: &mut Function, instructions: &[Instruction<'_>]) {
    for instruction in instructions {
        body.instruction(instruction);
    }
}

/// The contents of a name section.
fn names(functions: &[(u32, &str)]) -> Vec<u8> {
    let mut map = NameMap::new();
    functions.iter().for_each(|(index, name)| map.append(*index, name));
    let mut names = NameSection::new();
    names.functions(&map);
    names.as_custom().data.to_vec()
}

/// A skill that does nothing, to be added to.
struct Skill {
    types: TypeSection,
    imports: ImportSection,
    imported: u32,
    functions: FunctionSection,
    tables: TableSection,
    globals: GlobalSection,
    exports: ExportSection,
    elements: ElementSection,
    code: CodeSection,
    data: DataSection,
    names: Option<Vec<u8>>,
    customs: u64,
    memory_pages: u64,
    /// The event handler, where it does anything.
    handler: Function,
    /// The type `() -> ()`.
    ends: u32,
}

impl Skill {
    fn new() -> Self {
        let mut types = TypeSection::new();
        types.ty().function([ValType::I32; 4], [ValType::I32]);
        types.ty().function([], []);
        Skill {
            types,
            imports: ImportSection::new(),
            imported: 0,
            functions: FunctionSection::new(),
            tables: TableSection::new(),
            globals: GlobalSection::new(),
            exports: ExportSection::new(),
            elements: ElementSection::new(),
            code: CodeSection::new(),
            data: DataSection::new(),
            names: None,
            customs: 0,
            memory_pages: 1,
            handler: Function::new([(1, ValType::I32)]),
            ends: 1,
        }
    }

    /// The index of the next function. Imports come before all of them.
    fn functions_before(&self) -> u32 {
        self.imported + self.functions.len()
    }

    /// Adds a function whose body lacks its last `end`.
    fn function(&mut self, ty: u32, body: &Function) {
        let mut body = body.clone();
        body.instruction(&Instruction::End);
        self.functions.function(ty);
        self.code.function(&body);
    }

    fn table(&mut self, elements: u64) {
        let (element_type, maximum) = (RefType::FUNCREF, None);
        self.tables.table(TableType { element_type, minimum: elements, maximum, table64: false, shared: false });
    }

    /// What the event handler does before it answers 0. Its local 4 is free.
    fn handler(&mut self, instructions: &[Instruction<'_>]) {
        put(&mut self.handler, instructions);
    }

    /// Does, without effect, what has every rewriting there is done to the module.
    fn rewritten(&mut self) {
        self.handler(&[
            Instruction::I32Const(0),
            Instruction::If(BlockType::Empty),
            Instruction::Unreachable,
            Instruction::End,
            Instruction::F64Const(1.0.into()),
            Instruction::F32DemoteF64,
            Instruction::Drop,
        ]);
    }

    /// A function that calls itself as often as its parameter says, then traps.
    fn recursion_to_unreachable(&mut self) -> u32 {
        let index = self.functions_before();
        let ty = self.types.len();
        self.types.ty().function([ValType::I32], []);
        let mut body = Function::new([]);
        let instructions = [
            Instruction::LocalGet(0),
            Instruction::I32Eqz,
            Instruction::If(BlockType::Empty),
            Instruction::Unreachable,
            Instruction::End,
            Instruction::LocalGet(0),
            Instruction::I32Const(1),
            Instruction::I32Sub,
            Instruction::Call(index),
        ];
        put(&mut body, &instructions);
        self.function(ty, &body);
        index
    }

    /// A recursion as deep as the event's number of times 250 and 8,000, that ends in `last`.
    fn recursion(&mut self, last: &[Instruction<'_>]) {
        let index = self.functions_before();
        let ty = self.types.len();
        self.types.ty().function([ValType::I32], []);
        let mut body = Function::new([]);
        let instructions = [
            Instruction::LocalGet(0),
            Instruction::If(BlockType::Empty),
            Instruction::LocalGet(0),
            Instruction::I32Const(1),
            Instruction::I32Sub,
            Instruction::Call(index),
            Instruction::Else,
        ];
        put(&mut body, &instructions);
        put(&mut body, last);
        body.instruction(&Instruction::End);
        self.function(ty, &body);
        // The event's data is its number: the sum of its digits will do for a depth.
        let at = |offset| wasm_encoder::MemArg { offset, align: 0, memory_index: 0 };
        self.handler(&[
            Instruction::LocalGet(2),
            Instruction::I32Load8U(at(0)),
            Instruction::I32Const(10),
            Instruction::I32Mul,
            Instruction::LocalGet(2),
            Instruction::I32Load8U(at(1)),
            Instruction::I32Add,
            Instruction::I32Const(255),
            Instruction::I32And,
            Instruction::I32Const(250),
            Instruction::I32Mul,
            Instruction::I32Const(8_000),
            Instruction::I32Add,
            Instruction::Call(index),
        ]);
    }

    fn deep_call(&mut self, params: usize, results: usize) {
        let ty = self.types.len();
        self.types.ty().function(vec![ValType::I64; params], vec![ValType::I64; results]);
        let wide = self.functions_before();
        let mut body = Function::new([]);
        put(&mut body, &vec![Instruction::I64Const(0x4141_4141_4141_4141); results]);
        self.function(ty, &body);
        let mut call = vec![Instruction::I64Const(0x4141_4141_4141_4141); params];
        call.push(Instruction::Call(wide));
        call.extend(vec![Instruction::Drop; results]);
        self.recursion(&call);
    }

    fn deep_locals(&mut self, locals: u32) {
        let wide = self.functions_before();
        self.function(self.ends, &Function::new([(locals, ValType::I64)]));
        self.recursion(&[Instruction::Call(wide)]);
    }

    fn finish(mut self) -> Vec<u8> {
        let handler = self.functions_before();
        let mut body = self.handler.clone();
        body.instruction(&Instruction::I32Const(0));
        self.function(0, &body);
        self.exports.export("memory", ExportKind::Memory, 0);
        self.exports.export("skill_on_event", ExportKind::Func, handler);
        let mut memories = MemorySection::new();
        let minimum = self.memory_pages;
        memories.memory(MemoryType { minimum, maximum: None, memory64: false, shared: false, page_size_log2: None });
        let mut module = Module::new();
        module.section(&self.types).section(&self.imports).section(&self.functions).section(&self.tables);
        module.section(&memories).section(&self.globals).section(&self.exports).section(&self.elements);
        module.section(&self.code).section(&self.data);
        for _ in 0..self.customs {
            module.section(&CustomSection { name: "c".into(), data: Cow::Borrowed(&[]) });
        }
        if let Some(data) = &self.names {
            let mut contents = vec![4];
            contents.extend_from_slice(b"name");
            contents.extend_from_slice(data);
            module.section(&RawSection { id: 0, data: &contents });
        }
        module.finish()
    }
}
