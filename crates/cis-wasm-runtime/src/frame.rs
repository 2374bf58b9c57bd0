//! How much of the stack Singlepass's code moves over before it touches any of it.
//!
//! The stack of a guest ends in one page that nobody may touch. Code that steps over more than that page at once may land
//! behind it, in memory that is another's, or die of a signal that is nobody's. Cranelift's code touches every page on its
//! way. Singlepass's does for most of a function's locals, but not for the first page of them, nor for the arguments and
//! results of a call, nor for the results of blocks: those it reserves together, and fills in later (wasmer 7.4.2).
//!
//! Invariant: what a function that passed [`check`] reserves together is less than a page of 4 KiB: its parameters and
//! locals; and the results of blocks within each other, with the arguments and results of a call.

use wasmparser::{BlockType, FuncType, FunctionBody, Operator, Parser, Payload};

use cis_wasm_host::unwired::{Limit, unwired};

use crate::error::{Error, ErrorKind};

/// The most values of 8 bytes, with room in the page for what the rewriting adds and for saved registers.
const MOST_LOCALS: u64 = 400;
const MOST_IN_TYPE: u64 = 128;
const MOST_BLOCK_RESULTS: u64 = 128;

/// Checks a valid module that Singlepass is to compile.
pub(crate) fn check(wasm: &[u8]) -> Result<(), Error> {
    if unwired(Limit::Frames) {
        return Ok(());
    }
    let (mut types, mut functions, mut bodies) = (Vec::new(), Vec::new(), 0);
    for payload in Parser::new(0).parse_all(wasm) {
        match payload.map_err(invalid)? {
            Payload::TypeSection(section) => {
                for ty in section.into_iter_err_on_gc_types() {
                    let ty = ty.map_err(invalid)?;
                    let values = (ty.params().len() + ty.results().len()) as u64;
                    at_most("parameters and results in one type", values, MOST_IN_TYPE)?;
                    types.push(ty);
                }
            }
            Payload::FunctionSection(section) => {
                for ty in section {
                    functions.push(ty.map_err(invalid)?);
                }
            }
            Payload::CodeSectionEntry(body) => {
                let ty = functions.get(bodies).and_then(|ty| types.get(*ty as usize));
                bodies += 1;
                locals(&body, ty)?;
                block_results(&body, &types)?;
            }
            _ => {}
        }
    }
    Ok(())
}

fn locals(body: &FunctionBody<'_>, ty: Option<&FuncType>) -> Result<(), Error> {
    let mut values = ty.map_or(0, |ty| ty.params().len() as u64);
    for group in body.get_locals_reader().map_err(invalid)? {
        values += u64::from(group.map_err(invalid)?.0);
    }
    at_most("parameters and locals in one function", values, MOST_LOCALS)
}

fn block_results(body: &FunctionBody<'_>, types: &[FuncType]) -> Result<(), Error> {
    let (mut open, mut values) = (Vec::new(), 0);
    for operator in body.get_operators_reader().map_err(invalid)? {
        match operator.map_err(invalid)? {
            Operator::Block { blockty } | Operator::Loop { blockty } | Operator::If { blockty } => {
                let own = match blockty {
                    BlockType::Empty => 0,
                    BlockType::Type(_) => 1,
                    BlockType::FuncType(ty) => {
                        types.get(ty as usize).map_or(0, |ty| (ty.params().len() + ty.results().len()) as u64)
                    }
                };
                open.push(own);
                values += own;
                at_most("results of blocks within each other", values, MOST_BLOCK_RESULTS)?;
            }
            Operator::End => values -= open.pop().unwrap_or(0),
            _ => {}
        }
    }
    Ok(())
}

fn at_most(what: &str, has: u64, ceiling: u64) -> Result<(), Error> {
    if has > ceiling {
        let what = format!("{what}, which Singlepass does not guard");
        return Err(ErrorKind::ModuleTooLarge { what, has, ceiling }.into());
    }
    Ok(())
}

fn invalid(error: impl ToString) -> Error {
    ErrorKind::InvalidModule { message: error.to_string() }.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn says(fields: &str, text: &str) {
        let said = check(&wat::parse_str(format!("(module {fields})")).unwrap()).map_err(|error| error.to_string());
        assert!(said.clone().err().unwrap_or("fine".into()).contains(text), "{said:?} is not {text}");
    }

    #[test]
    fn what_fits_a_page_is_fine_and_no_more() {
        let many = |word: &str, count: usize| word.repeat(count);
        says(&format!("(func (param i32) (local {}))", many("i64 ", 399)), "fine");
        says(&format!("(func (param i32) (local {}))", many("i64 ", 400)), "401 parameters and locals");
        says(&format!("(type (func (param {}) (result i32)))", many("i64 ", 127)), "fine");
        says(&format!("(type (func (param {}) (result i32)))", many("i64 ", 128)), "129 parameters and results");
        let nested = |count| format!("{} i32.const 1 {}", many("block (result i32) ", count), many("end ", count));
        says(&format!("(func {} drop {} drop)", nested(128), nested(128)), "fine");
        says(&format!("(func {} drop)", nested(129)), "129 results of blocks");
    }
}
