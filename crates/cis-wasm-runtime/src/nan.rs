//! Canonical NaNs where a compiler leaves one out.
//!
//! Singlepass of wasmer 7.4.2 makes every NaN that comes out of arithmetic the canonical one, as Cranelift does, but not one
//! that comes out of `f64.promote_f32` or `f32.demote_f64`. A guest could read the difference. So those two are followed by
//! a multiplication by one: it changes no number, and its NaNs are canonical. This comes after metering, so it costs no
//! fuel.

use std::borrow::Cow;
use std::convert::Infallible;

use wasm_encoder::reencode::{Error as ReencodeError, Reencode};
use wasm_encoder::{CodeSection, Instruction, Module};
use wasmparser::{BinaryReaderError, FunctionBody, Operator, Parser, Payload};

/// The module, with every NaN canonical when compiled by Singlepass.
pub(crate) fn canonical(wasm: &[u8]) -> Result<Cow<'_, [u8]>, ReencodeError<Infallible>> {
    if !converts(wasm)? {
        return Ok(Cow::Borrowed(wasm));
    }
    let mut module = Module::new();
    Canonical.parse_core_module(&mut module, Parser::new(0), wasm)?;
    Ok(Cow::Owned(module.finish()))
}

/// Whether the module converts floats to floats at all: few do.
fn converts(wasm: &[u8]) -> Result<bool, BinaryReaderError> {
    for payload in Parser::new(0).parse_all(wasm) {
        let Payload::CodeSectionEntry(body) = payload? else { continue };
        for operator in body.get_operators_reader()? {
            if multiplication(&operator?).is_some() {
                return Ok(true);
            }
        }
    }
    Ok(false)
}

/// The multiplication that follows an operator, when it is one that converts floats.
fn multiplication(operator: &Operator<'_>) -> Option<[Instruction<'static>; 2]> {
    match operator {
        Operator::F64PromoteF32 => Some([Instruction::F64Const(1.0.into()), Instruction::F64Mul]),
        Operator::F32DemoteF64 => Some([Instruction::F32Const(1.0.into()), Instruction::F32Mul]),
        _ => None,
    }
}

struct Canonical;

impl Reencode for Canonical {
    type Error = Infallible;

    fn parse_function_body(
        &mut self,
        code: &mut CodeSection,
        body: FunctionBody<'_>,
    ) -> Result<(), ReencodeError<Infallible>> {
        let mut function = self.new_function_with_parsed_locals(&body)?;
        for operator in body.get_operators_reader()? {
            let operator = operator?;
            let then = multiplication(&operator);
            function.instruction(&self.instruction(operator)?);
            for instruction in then.iter().flatten() {
                function.instruction(instruction);
            }
        }
        code.function(&function);
        Ok(())
    }
}
