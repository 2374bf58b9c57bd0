//! Modules that tell what they find.
//!
//! A later event sees an earlier one's traces only if something of the instance is not as it was. So before its own code, a
//! probed module looks at all of its memory and at all of its globals that can change, when it is asked to.

use std::convert::Infallible;

use cis_wasm_abi::EXPORT_ON_EVENT;
use wasm_encoder::reencode::{Error, Reencode, utils};
use wasm_encoder::{
    BlockType, CodeSection, ExportKind, ExportSection, Function, FunctionSection, Instruction, MemArg, Module, ValType,
};
use wasmparser::{CodeSectionReader, Export, ExternalKind, FunctionSectionReader, Parser, Payload, TypeRef};

/// The type of the event that asks.
pub(super) const PROBE: &str = "probe";

/// The module, with an answer to [`PROBE`]: a status that is a hash of its memory and globals. `None` for one whose events
/// are handled by no function of its own.
pub(super) fn probed(wasm: &[u8]) -> Option<Vec<u8>> {
    let mut probe = Probe::of(wasm)?;
    let mut module = Module::new();
    probe.parse_core_module(&mut module, Parser::new(0), wasm).expect("a module that was loaded can be rewritten");
    Some(module.finish())
}

struct Probe {
    /// What handled events so far.
    handler: u32,
    /// Its type.
    ty: u32,
    result: wasmparser::ValType,
    functions: u32,
    /// Globals that can change, with their types.
    globals: Vec<(u32, wasmparser::ValType)>,
}

impl Probe {
    fn of(wasm: &[u8]) -> Option<Self> {
        let (mut types, mut functions, mut globals) = (Vec::new(), Vec::new(), Vec::new());
        let (mut handler, mut imported) = (None, 0);
        for payload in Parser::new(0).parse_all(wasm) {
            match payload.ok()? {
                Payload::TypeSection(section) => {
                    types.extend(section.into_iter_err_on_gc_types().map_while(Result::ok))
                }
                Payload::ImportSection(section) => {
                    for import in section.into_imports() {
                        if let TypeRef::Func(ty) = import.ok()?.ty {
                            functions.push(ty);
                            imported += 1;
                        }
                    }
                }
                Payload::FunctionSection(section) => functions.extend(section.into_iter().map_while(Result::ok)),
                Payload::GlobalSection(section) => {
                    for (index, global) in (0..).zip(section) {
                        let ty = global.ok()?.ty;
                        if ty.mutable {
                            globals.push((index, ty.content_type));
                        }
                    }
                }
                Payload::ExportSection(section) => {
                    for export in section {
                        let export = export.ok()?;
                        if export.name == EXPORT_ON_EVENT && export.kind == ExternalKind::Func {
                            handler = Some(export.index);
                        }
                    }
                }
                _ => {}
            }
        }
        let handler = handler.filter(|handler| *handler >= imported)?;
        let ty = *functions.get(handler as usize)?;
        let result = *types.get(ty as usize)?.results().first()?;
        Some(Probe { handler, ty, result, functions: functions.len() as u32, globals })
    }

    fn code(&self) -> Function {
        const AT: u32 = 4;
        const HASH: u32 = 5;
        let mut code = Function::new([(1, ValType::I32), (1, ValType::I64)]);
        let emit = |code: &mut Function, instructions: &[Instruction<'_>]| {
            for instruction in instructions {
                code.instruction(instruction);
            }
        };
        // What is below on the stack goes into the hash.
        let mix = [
            Instruction::LocalGet(HASH),
            // Without it, two signs that changed would make up for each other.
            Instruction::I64Const(23),
            Instruction::I64Rotl,
            Instruction::I64Const(6_364_136_223_846_793_005),
            Instruction::I64Mul,
            Instruction::I64Add,
            Instruction::LocalSet(HASH),
        ];
        let is_probe = [
            Instruction::LocalGet(1),
            Instruction::I32Const(PROBE.len() as i32),
            Instruction::I32Eq,
            Instruction::If(BlockType::Empty),
            Instruction::Block(BlockType::Empty),
            Instruction::Loop(BlockType::Empty),
            Instruction::LocalGet(AT),
            Instruction::MemorySize(0),
            Instruction::I32Const(16),
            Instruction::I32Shl,
            Instruction::I32GeU,
            Instruction::BrIf(1),
            Instruction::LocalGet(AT),
            Instruction::I64Load(MemArg { offset: 0, align: 3, memory_index: 0 }),
        ];
        let next = [
            Instruction::LocalGet(AT),
            Instruction::I32Const(8),
            Instruction::I32Add,
            Instruction::LocalSet(AT),
            Instruction::Br(0),
            Instruction::End,
            Instruction::End,
            Instruction::LocalGet(AT),
            Instruction::I64ExtendI32U,
        ];
        emit(&mut code, &is_probe);
        emit(&mut code, &mix);
        emit(&mut code, &next);
        emit(&mut code, &mix);
        for (global, ty) in &self.globals {
            let bits: &[Instruction<'_>] = match ty {
                wasmparser::ValType::I32 => &[Instruction::I64ExtendI32U],
                wasmparser::ValType::I64 => &[],
                wasmparser::ValType::F32 => &[Instruction::I32ReinterpretF32, Instruction::I64ExtendI32U],
                wasmparser::ValType::F64 => &[Instruction::I64ReinterpretF64],
                wasmparser::ValType::V128 => &[Instruction::I64x2ExtractLane(0)],
                wasmparser::ValType::Ref(_) => &[Instruction::RefIsNull, Instruction::I64ExtendI32U],
            };
            emit(&mut code, &[Instruction::GlobalGet(*global)]);
            emit(&mut code, bits);
            emit(&mut code, &mix);
            if *ty == wasmparser::ValType::V128 {
                emit(&mut code, &[Instruction::GlobalGet(*global), Instruction::I64x2ExtractLane(1)]);
                emit(&mut code, &mix);
            }
        }
        // The hash as a status that is neither success nor an error's.
        emit(&mut code, &[Instruction::I64Const(0)]);
        emit(&mut code, &mix);
        emit(
            &mut code,
            &[
                Instruction::LocalGet(HASH),
                Instruction::I64Const(32),
                Instruction::I64ShrU,
                Instruction::I64Const(0x7fff_ffff),
                Instruction::I64And,
                Instruction::I64Const(1),
                Instruction::I64Or,
            ],
        );
        if self.result == wasmparser::ValType::I32 {
            emit(&mut code, &[Instruction::I32WrapI64]);
        }
        emit(&mut code, &[Instruction::Return, Instruction::End]);
        emit(&mut code, &[0, 1, 2, 3].map(Instruction::LocalGet));
        emit(&mut code, &[Instruction::Call(self.handler), Instruction::End]);
        code
    }
}

impl Reencode for Probe {
    type Error = Infallible;

    fn parse_function_section(
        &mut self,
        functions: &mut FunctionSection,
        section: FunctionSectionReader<'_>,
    ) -> Result<(), Error<Infallible>> {
        for ty in section {
            functions.function(ty?);
        }
        functions.function(self.ty);
        Ok(())
    }

    fn parse_export(&mut self, exports: &mut ExportSection, export: Export<'_>) -> Result<(), Error<Infallible>> {
        if export.name == EXPORT_ON_EVENT {
            exports.export(export.name, ExportKind::Func, self.functions);
            return Ok(());
        }
        utils::parse_export(self, exports, export)
    }

    fn parse_code_section(
        &mut self,
        code: &mut CodeSection,
        section: CodeSectionReader<'_>,
    ) -> Result<(), Error<Infallible>> {
        for body in section {
            self.parse_function_body(code, body?)?;
        }
        code.function(&self.code());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use cis_wasm_runtime::{ErrorKind, LoadSpec, State};

    use super::*;
    use crate::host::{granted, host};
    use crate::outcome::{Ended, Seen, limits, load};

    #[test]
    fn a_probe_finds_what_an_event_left() {
        let wasm = wat::parse_str(
            r#"(module (memory (export "memory") 1)
                (global $a (mut i32) (i32.const 0)) (global $b (mut f64) (f64.const 0))
                (func (export "skill_on_event") (param i32 i32) (param $data i32) (param $len i32) (result i32)
                    (if (i32.eq (local.get $len) (i32.const 1)) (then (global.set $a (i32.const 1))))
                    (if (i32.eq (local.get $len) (i32.const 2)) (then (global.set $b (f64.const -0))))
                    (if (i32.eq (local.get $len) (i32.const 3)) (then (i32.store8 (i32.const 65535) (i32.const 1))))
                    (if (i32.eq (local.get $len) (i32.const 4)) (then (drop (memory.grow (i32.const 1)))))
                    (i32.const 0)))"#,
        )
        .unwrap();
        let mut spec = LoadSpec::new(granted(), host());
        spec.limits = limits(100_000_000);
        spec.state = State::Kept;
        let skill = load(0, &probed(&wasm).unwrap(), spec).unwrap();
        // The first event grows memory for what the host gives.
        Seen::of(skill.run("nothing", b"12345"));
        let mut found = Vec::new();
        for data in [&b""[..], b"1", b"12", b"123", b"1234"] {
            Seen::of(skill.run("nothing", data));
            match Seen::of(skill.run(PROBE, b"")).ended {
                Ended::Failed(ErrorKind::SkillFailed { status, .. }) => found.push(status),
                other => panic!("{other:?}"),
            }
        }
        found.dedup();
        assert_eq!(found.len(), 5, "{found:?}");
    }
}
