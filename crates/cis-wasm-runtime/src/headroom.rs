//! Room on the stack for the engine's own traps.
//!
//! The engine makes some traps in code of its own that runs on the guest's stack: that of `unreachable`, and those of
//! bulk and table operations out of bounds. Making one walks the stack under a lock of the whole process. A guest that
//! has recursed to the last few kilobytes of its stack and then does such a thing overflows the stack in the middle of
//! that, which ends as a stack overflow, with the lock held for good: from then on the first trap on any other thread
//! waits forever. (wasmer 7.4.2, both compilers.)
//!
//! So a module is rewritten before it is metered: before every instruction that may trap like that, it makes sure of
//! [`HEADROOM`] by using it, in calls of its own. Where there is less, the overflow happens there, in guest code, which
//! holds nothing. Copying and filling memory, which are common, are left to the functions that metering adds for them: these
//! look first, and trap in guest code. So does code that cannot pay.
//!
//! Invariant: no instruction that [`is_risky`] runs with less than [`HEADROOM`] of stack.

use cis_wasm_host::unwired::{Limit, unwired};
use wasm_encoder::reencode::{Error as ReencodeError, Reencode, utils};
use wasm_encoder::{
    BlockType, CodeSection, CustomSection, Function, FunctionSection, Instruction, TypeSection, ValType,
};
use wasmparser::{FunctionBody, Operator, Parser, Payload, TypeRef};

use crate::error::{Error, ErrorKind};

/// How much stack the engine has for a trap of its own, in bytes. Walking the stack takes some 10 KiB of it.
const HEADROOM: u32 = 32 << 10;
/// Parameters of the function that takes the room: most of them travel on the stack.
const WIDTH: u32 = 32;
/// Fewer are passed in registers, whatever the processor and compiler.
const IN_REGISTERS: u32 = 8;
/// How deep that function has to call itself.
const DEPTH: u32 = HEADROOM / ((WIDTH - IN_REGISTERS) * 8) + 1;

/// Rewrites a module that passed the check. One without anything to see to stays as it is.
pub(crate) fn reserve(wasm: Vec<u8>) -> Result<Vec<u8>, Error> {
    let failed = |error: &dyn std::fmt::Display| {
        Error::from(ErrorKind::Internal { message: format!("reserving stack in a valid module: {error}") })
    };
    let guard = Guard::of(&wasm).map_err(|error| failed(&error))?.filter(|_| !unwired(Limit::Headroom));
    let Some(mut guard) = guard else { return Ok(wasm) };
    let mut module = wasm_encoder::Module::new();
    guard.parse_core_module(&mut module, Parser::new(0), &wasm).map_err(|error| failed(&error))?;
    Ok(module.finish())
}

/// Whether an instruction may trap in the engine's code. Copying and filling memory do not get that far.
fn is_risky(operator: &Operator<'_>) -> bool {
    matches!(
        operator,
        Operator::Unreachable
            | Operator::MemoryInit { .. }
            | Operator::TableCopy { .. }
            | Operator::TableFill { .. }
            | Operator::TableGet { .. }
            | Operator::TableInit { .. }
            | Operator::TableSet { .. }
    )
}

/// The rewriting: two functions behind all others, and calls to the first.
#[derive(Default)]
struct Guard {
    types: u32,
    functions: u32,
}

impl Guard {
    /// Counts, and looks whether there is anything to see to.
    fn of(wasm: &[u8]) -> Result<Option<Self>, wasmparser::BinaryReaderError> {
        let mut guard = Guard::default();
        let mut risky = false;
        for payload in Parser::new(0).parse_all(wasm) {
            match payload? {
                Payload::TypeSection(types) => {
                    guard.types = types.into_iter_err_on_gc_types().count() as u32;
                }
                Payload::ImportSection(imports) => {
                    for import in imports.into_imports() {
                        guard.functions += u32::from(matches!(import?.ty, TypeRef::Func(_)));
                    }
                }
                Payload::FunctionSection(functions) => {
                    guard.functions += functions.count();
                }
                Payload::CodeSectionEntry(body) if !risky => {
                    for operator in body.get_operators_reader()? {
                        risky |= is_risky(&operator?);
                    }
                }
                _ => {}
            }
        }
        Ok(risky.then_some(guard))
    }

    /// `() -> ()`
    fn reserve_type(&self) -> u32 {
        self.types
    }

    /// `(i32, i64 …) -> ()`
    fn use_type(&self) -> u32 {
        self.types + 1
    }

    fn reserve_function(&self) -> u32 {
        self.functions
    }

    fn use_function(&self) -> u32 {
        self.functions + 1
    }

    /// Uses the room, and gives it back. In a loop that is not repeated: what is before a loop may be paid for by whoever
    /// might call, and nearly nobody does.
    fn reserve_body(&self) -> Function {
        let mut function = Function::new([]);
        function.instruction(&Instruction::Loop(BlockType::Empty));
        function.instruction(&Instruction::I32Const(DEPTH as i32));
        for _ in 0..WIDTH {
            function.instruction(&Instruction::I64Const(0));
        }
        function.instruction(&Instruction::Call(self.use_function()));
        function.instruction(&Instruction::End).instruction(&Instruction::End);
        function
    }

    /// Calls itself as often as its first parameter says.
    fn use_body(&self) -> Function {
        let mut function = Function::new([]);
        function.instruction(&Instruction::LocalGet(0)).instruction(&Instruction::If(BlockType::Empty));
        function.instruction(&Instruction::LocalGet(0)).instruction(&Instruction::I32Const(1));
        function.instruction(&Instruction::I32Sub);
        for param in 1..=WIDTH {
            function.instruction(&Instruction::LocalGet(param));
        }
        function.instruction(&Instruction::Call(self.use_function()));
        function.instruction(&Instruction::End).instruction(&Instruction::End);
        function
    }
}

impl Reencode for Guard {
    type Error = std::convert::Infallible;

    /// Only names are of use to anybody, and no number in them moves. What they say is not looked at here: it may be
    /// anything.
    fn parse_custom_section(
        &mut self,
        module: &mut wasm_encoder::Module,
        section: wasmparser::CustomSectionReader<'_>,
    ) -> Result<(), ReencodeError> {
        if section.name() == "name" {
            module.section(&CustomSection { name: "name".into(), data: section.data().into() });
        }
        Ok(())
    }

    fn parse_type_section(
        &mut self,
        types: &mut TypeSection,
        section: wasmparser::TypeSectionReader<'_>,
    ) -> Result<(), ReencodeError> {
        utils::parse_type_section(self, types, section)?;
        types.ty().function([], []);
        let mut params = vec![ValType::I32];
        params.resize(1 + WIDTH as usize, ValType::I64);
        types.ty().function(params, []);
        Ok(())
    }

    fn parse_function_section(
        &mut self,
        functions: &mut FunctionSection,
        section: wasmparser::FunctionSectionReader<'_>,
    ) -> Result<(), ReencodeError> {
        utils::parse_function_section(self, functions, section)?;
        functions.function(self.reserve_type()).function(self.use_type());
        Ok(())
    }

    fn parse_code_section(
        &mut self,
        code: &mut CodeSection,
        section: wasmparser::CodeSectionReader<'_>,
    ) -> Result<(), ReencodeError> {
        utils::parse_code_section(self, code, section)?;
        code.function(&self.reserve_body()).function(&self.use_body());
        Ok(())
    }

    fn parse_function_body(&mut self, code: &mut CodeSection, body: FunctionBody<'_>) -> Result<(), ReencodeError> {
        let mut locals = Vec::new();
        for group in body.get_locals_reader()? {
            let (count, ty) = group?;
            locals.push((count, self.val_type(ty)?));
        }
        let mut function = Function::new(locals);
        for operator in body.get_operators_reader()? {
            let operator = operator?;
            if is_risky(&operator) {
                function.instruction(&Instruction::Call(self.reserve_function()));
            }
            function.instruction(&self.instruction(operator)?);
        }
        code.function(&function);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use wasmparser::{Validator, WasmFeatures};

    use super::*;

    fn reserved(text: &str) -> String {
        let wasm = wat::parse_str(text).unwrap();
        let reserved = reserve(wasm.clone()).unwrap();
        Validator::new_with_features(WasmFeatures::WASM2).validate_all(&reserved).unwrap();
        if *reserved == wasm { "as it was".into() } else { "rewritten".into() }
    }

    #[test]
    fn what_cannot_trap_in_the_engine_stays_as_it_is() {
        assert_eq!(reserved("(module (func (drop (i32.div_s (i32.const 1) (i32.const 0)))))"), "as it was");
        assert_eq!(reserved("(module)"), "as it was");
        let copying = "(memory.copy (i32.const 0) (i32.const 1) (i32.const 2))";
        assert_eq!(reserved(&format!("(module (memory 1) (func {copying}))")), "as it was");
    }

    #[test]
    fn everything_that_can_is_seen_to_and_stays_valid() {
        for body in [
            "unreachable",
            "i32.const 1 unreachable unreachable drop",
            "(memory.init 0 (i32.const 0) (i32.const 0) (i32.const 1))",
            "(drop (table.get 0 (i32.const 1)))",
            "(table.set 0 (i32.const 1) (ref.null func))",
            "(table.copy (i32.const 1) (i32.const 1) (i32.const 1))",
            "(table.fill 0 (i32.const 1) (ref.null func) (i32.const 1))",
            "(table.init 0 (i32.const 1) (i32.const 1) (i32.const 1))",
        ] {
            let text = format!(
                "(module (import \"env\" \"f\" (func)) (memory 1) (table 1 funcref) (data \"x\") (elem func 0)
                 (func (param i32) (local f64 i32) {body}) (func (call 1 (i32.const 0)) (call 0)))"
            );
            assert_eq!(reserved(&text), "rewritten", "{body}");
        }
    }
}
