//! The plainest way to count instructions: one at a time.
//!
//! The runtime charges for stretches of code, before they run. This counts each instruction when it is its turn, and traps
//! at the first that is too many. So a module that ends as it did before ran no more instructions than its fuel paid for.

use std::convert::Infallible;

use wasm_encoder::reencode::{Error, Reencode};
use wasm_encoder::{BlockType, CodeSection, ConstExpr, GlobalSection, GlobalType, Instruction, Module, ValType};
use wasmparser::{FunctionBody, GlobalSectionReader, Operator, Parser};

/// The module, with code that traps when more than `most` instructions run. `None` for a module without globals, which has
/// no place to count in.
pub(crate) fn counting(wasm: &[u8], most: u64) -> Option<Vec<u8>> {
    let mut module = Module::new();
    let mut count = Count { most: i64::try_from(most).ok()?, global: None };
    count.parse_core_module(&mut module, Parser::new(0), wasm).expect("a module that was loaded can be rewritten");
    count.global.map(|_| module.finish())
}

struct Count {
    most: i64,
    /// The global with what is left, when there is one.
    global: Option<u32>,
}

impl Count {
    /// Whether an instruction does anything. Those that only give structure do not.
    fn counts(operator: &Operator<'_>) -> bool {
        use Operator::{Block, Else, End, Loop, Nop};
        !matches!(operator, Block { .. } | Else | End | Loop { .. } | Nop)
    }
}

impl Reencode for Count {
    type Error = Infallible;

    fn parse_global_section(
        &mut self,
        globals: &mut GlobalSection,
        section: GlobalSectionReader<'_>,
    ) -> Result<(), Error<Infallible>> {
        // A skill imports no globals, so the first of its own is number 0.
        self.global = Some(section.count());
        for global in section {
            self.parse_global(globals, global?)?;
        }
        globals.global(
            GlobalType { val_type: ValType::I64, mutable: true, shared: false },
            &ConstExpr::i64_const(self.most),
        );
        Ok(())
    }

    fn parse_function_body(&mut self, code: &mut CodeSection, body: FunctionBody<'_>) -> Result<(), Error<Infallible>> {
        let mut function = self.new_function_with_parsed_locals(&body)?;
        for operator in body.get_operators_reader()? {
            let operator = operator?;
            if let Some(global) = self.global.filter(|_| Count::counts(&operator)) {
                function
                    .instruction(&Instruction::GlobalGet(global))
                    .instruction(&Instruction::I64Const(1))
                    .instruction(&Instruction::I64Sub)
                    .instruction(&Instruction::GlobalSet(global))
                    .instruction(&Instruction::GlobalGet(global))
                    .instruction(&Instruction::I64Const(0))
                    .instruction(&Instruction::I64LtS)
                    .instruction(&Instruction::If(BlockType::Empty))
                    .instruction(&Instruction::Unreachable)
                    .instruction(&Instruction::End);
            }
            function.instruction(&self.instruction(operator)?);
        }
        code.function(&function);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use arbitrary::Unstructured;
    use cis_wasm_runtime::LoadSpec;

    use super::*;
    use crate::host::{granted, host};
    use crate::outcome::{Seen, limits, load};
    use crate::seed::bytes;
    use crate::straight_line::program;

    #[test]
    fn the_count_is_exact() {
        for seed in 0..20 {
            let (wasm, instructions) = program(&mut Unstructured::new(&bytes(seed, 4_000))).unwrap();
            for (most, code) in [(instructions, "answered"), (instructions - 1, "trap_unreachable")] {
                let counting = counting(&wasm, most).unwrap();
                let mut spec = LoadSpec::new(granted(), host());
                spec.limits = limits(100_000_000);
                let seen = Seen::of(load(0, &counting, spec).unwrap().run("", b""));
                assert_eq!(seen.code(), code, "{most} of {instructions}");
            }
        }
    }
}
