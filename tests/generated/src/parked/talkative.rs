//! Modules that make host calls.
//!
//! What wasm-smith comes up with hardly ever makes a call that can be answered: its pointers are anywhere. So a module without
//! imports is made, and rewritten: each of its functions and loops begins with a call of one function more, which asks the
//! host something. What that is depends on where it is called from, on how often it was, and on what is in memory; and the
//! answer goes into memory.

use std::convert::Infallible;

use arbitrary::{Result, Unstructured};
use cis_wasm_abi::{IMPORT_MODULE, IMPORTS, Import, ValType as AbiType};
use wasm_encoder::reencode::{Error, Reencode, utils};
use wasm_encoder::{
    BlockType, CodeSection, EntityType, Function, FunctionSection, ImportSection, Instruction, MemArg, MemorySection,
    MemoryType, Module, SectionId, TypeSection, ValType,
};
use wasmparser::{
    CodeSectionReader, FunctionBody, FunctionSectionReader, ImportSectionReader, MemorySectionReader, Operator, Parser,
    TypeSectionReader,
};

use crate::modules::generate;

/// A module that keeps the contract and makes host calls in most of its events.
pub(super) fn wasm(u: &mut Unstructured<'_>) -> Result<Vec<u8>> {
    let silent = generate::silent(u)?;
    let mut module = Module::new();
    let mut talk = Talk { salt: u.arbitrary()?, types: 0, functions: 0 };
    talk.parse_core_module(&mut module, Parser::new(0), &silent).expect("what wasm-smith made can be rewritten");
    Ok(module.finish())
}

/// Where the talking function keeps how often it was called, the last answer, a key and a URL. All are in the first page.
const COUNT: u64 = 0x600;
const ANSWER: u64 = 0x608;
const KEY: i32 = 0x610;
const URL: i32 = 0x620;
/// Of the host that the scope grants.
const URL_TEXT: &[u8; 32] = b"https://hooks.example.com/200/aa";

struct Talk {
    /// For which calls are made from where.
    salt: u32,
    /// Types of the module's own.
    types: u32,
    /// Functions of the module's own.
    functions: u32,
}

impl Talk {
    /// The talking function comes last.
    fn index(&self) -> u32 {
        IMPORTS.len() as u32 + self.functions
    }

    fn import(&self, imports: &mut ImportSection) {
        for (ty, import) in (self.types..).zip(&IMPORTS) {
            imports.import(IMPORT_MODULE, import.name, EntityType::Function(ty));
        }
    }

    /// Asks something that depends on a place in the code.
    fn ask(&mut self, code: &mut Function) {
        self.salt = self.salt.wrapping_mul(0x9E37_79B9).wrapping_add(0x7F4A_7C15);
        code.instruction(&Instruction::I32Const((self.salt >> 4) as i32)).instruction(&Instruction::Call(self.index()));
    }

    /// Its parameter is the place, its only local is what to ask.
    fn code() -> Function {
        const WHAT: u32 = 1;
        let at = |offset| MemArg { offset, align: 0, memory_index: 0 };
        let mut code = Function::new([(1, ValType::I32)]);
        let mut emit = |instructions: &[Instruction<'_>]| {
            for instruction in instructions {
                code.instruction(instruction);
            }
        };
        let words = [(KEY, *b"abcdefgh")]
            .into_iter()
            .chain((0..).step_by(8).zip(URL_TEXT.as_chunks().0).map(|(offset, chunk)| (URL + offset, *chunk)));
        for (at_byte, word) in words {
            let word = Instruction::I64Const(i64::from_le_bytes(word));
            emit(&[Instruction::I32Const(at_byte), word, Instruction::I64Store(at(0))]);
        }
        let zero = Instruction::I32Const(0);
        emit(&[
            zero.clone(),
            zero.clone(),
            Instruction::I32Load(at(COUNT)),
            Instruction::I32Const(0x0101_4321),
            Instruction::I32Add,
            Instruction::I32Store(at(COUNT)),
            zero.clone(),
            Instruction::I32Load(at(COUNT)),
            zero.clone(),
            Instruction::I32Load8U(at(ANSWER)),
            Instruction::I32Add,
            Instruction::LocalGet(0),
            Instruction::I32Xor,
            Instruction::LocalSet(WHAT),
        ]);
        for (index, import) in IMPORTS.iter().enumerate() {
            emit(&[
                Instruction::LocalGet(WHAT),
                Instruction::I32Const(IMPORTS.len() as i32),
                Instruction::I32RemU,
                Instruction::I32Const(index as i32),
                Instruction::I32Eq,
                Instruction::If(BlockType::Empty),
                zero.clone(),
            ]);
            for (parameter, _) in import.params {
                emit(&argument(parameter, WHAT));
            }
            emit(&[Instruction::Call(index as u32)]);
            emit(match import.result {
                Some(AbiType::I64) => &[],
                Some(AbiType::I32) => &[Instruction::I64ExtendI32S],
                None => &[Instruction::I64Const(0)],
            });
            emit(&[Instruction::I64Store(at(ANSWER)), Instruction::Return, Instruction::End]);
        }
        emit(&[Instruction::End]);
        code
    }
}

/// What one argument of a call is. Keys and URLs are ones that the scope allows; all else is anywhere in the first page.
fn argument(parameter: &str, what: u32) -> Vec<Instruction<'static>> {
    let bits = |shift, mask, base| {
        vec![
            Instruction::LocalGet(what),
            Instruction::I32Const(shift),
            Instruction::I32ShrU,
            Instruction::I32Const(mask),
            Instruction::I32And,
            Instruction::I32Const(base),
            Instruction::I32Add,
        ]
    };
    match parameter {
        "key_ptr" | "prefix_ptr" => bits(8, 3, KEY),
        "key_len" => bits(10, 3, 1),
        "prefix_len" => bits(10, 3, 0),
        "url_ptr" => bits(0, 0, URL),
        // With a path and without.
        "url_len" => bits(9, 7, URL_TEXT.len() as i32 - 7),
        "level" => bits(7, 3, 0),
        _ if parameter.ends_with("_len") => bits(14, 31, 0),
        _ => bits(5, 0x0FFF, 0),
    }
}

fn params(import: &Import) -> impl ExactSizeIterator<Item = ValType> {
    import.params.iter().map(|(_, ty)| value(*ty))
}

fn value(ty: AbiType) -> ValType {
    match ty {
        AbiType::I32 => ValType::I32,
        AbiType::I64 => ValType::I64,
    }
}

impl Reencode for Talk {
    type Error = Infallible;

    /// The imports come before all functions.
    fn function_index(&mut self, function: u32) -> std::result::Result<u32, Error<Infallible>> {
        Ok(function + IMPORTS.len() as u32)
    }

    fn parse_type_section(
        &mut self,
        types: &mut TypeSection,
        section: TypeSectionReader<'_>,
    ) -> std::result::Result<(), Error<Infallible>> {
        utils::parse_type_section(self, types, section)?;
        self.types = types.len();
        for import in &IMPORTS {
            types.ty().function(params(import), import.result.map(value));
        }
        types.ty().function([ValType::I32], []);
        Ok(())
    }

    fn intersperse_section_hook(
        &mut self,
        module: &mut Module,
        after: Option<SectionId>,
        before: Option<SectionId>,
    ) -> std::result::Result<(), Error<Infallible>> {
        if after == Some(SectionId::Type) && before != Some(SectionId::Import) {
            let mut imports = ImportSection::new();
            self.import(&mut imports);
            module.section(&imports);
        }
        Ok(())
    }

    /// One without imports is there at times.
    fn parse_import_section(
        &mut self,
        imports: &mut ImportSection,
        _: ImportSectionReader<'_>,
    ) -> std::result::Result<(), Error<Infallible>> {
        self.import(imports);
        Ok(())
    }

    fn parse_function_section(
        &mut self,
        functions: &mut FunctionSection,
        section: FunctionSectionReader<'_>,
    ) -> std::result::Result<(), Error<Infallible>> {
        self.functions = section.count();
        utils::parse_function_section(self, functions, section)?;
        functions.function(self.types + IMPORTS.len() as u32);
        Ok(())
    }

    fn parse_memory_section(
        &mut self,
        memories: &mut MemorySection,
        section: MemorySectionReader<'_>,
    ) -> std::result::Result<(), Error<Infallible>> {
        for memory in section {
            let memory = self.memory_type(memory?)?;
            let minimum = memory.minimum.max(1);
            memories.memory(MemoryType { minimum, maximum: memory.maximum.map(|most| most.max(1)), ..memory });
        }
        Ok(())
    }

    fn parse_code_section(
        &mut self,
        code: &mut CodeSection,
        section: CodeSectionReader<'_>,
    ) -> std::result::Result<(), Error<Infallible>> {
        utils::parse_code_section(self, code, section)?;
        code.function(&Talk::code());
        Ok(())
    }

    fn parse_function_body(
        &mut self,
        code: &mut CodeSection,
        body: FunctionBody<'_>,
    ) -> std::result::Result<(), Error<Infallible>> {
        let mut function = self.new_function_with_parsed_locals(&body)?;
        // Some things are answered by nobody who could be late.
        self.ask(&mut function);
        self.ask(&mut function);
        for operator in body.get_operators_reader()? {
            let operator = operator?;
            let loops = matches!(operator, Operator::Loop { .. });
            function.instruction(&self.instruction(operator)?);
            if loops {
                self.ask(&mut function);
            }
        }
        code.function(&function);
        Ok(())
    }
}
