//! Copying and filling memory, in functions of our own.
//!
//! The engine does both by a call out of guest code, whatever the length, and most lengths are short: programs put texts
//! together from parts of a few bytes. And where an operation is out of bounds, it traps in code that needs more of the
//! guest's stack than may be left (see [`crate::headroom`]). So a module gets functions that it calls instead: they move up
//! to [`SHORT`] bytes by loads and stores, and leave the rest to the engine once it is known to be within bounds.
//!
//! What must stay true:
//! - **They do what the instruction does.** All loads come before the first store, so that the ranges may overlap. A range
//!   out of bounds traps as such before anything is written, one of no bytes too: the first store is the one that ends
//!   last, and what begins near the end of the address space, where an address could wrap around, goes the long way.
//! - **They trap in guest code**, by an access of their own. The engine's operation does not trap.
//! - **What a call costs bounds what it does.** [`COST`] pays for all but the engine's operation, which pays by its length.

use cis_wasm_host::unwired::{Limit, unwired};
use wasm_encoder::{BlockType, Function, Instruction, InstructionSink, MemArg, ValType};
use wasmparser::Operator;

use super::pieces;
use super::rewrite::Metered;

/// What copying or filling costs, in units of fuel, without what it pays by its length.
pub(super) const COST: u32 = 24;

/// The most bytes that are moved without the engine: what [`COST`] pays for.
const SHORT: i32 = 64;

/// Below this address, no end of a short range wraps around.
const FAR_FROM_THE_END: i32 = -SHORT;

/// How many functions there are.
const FUNCTIONS: usize = 4;

/// Parameters: where to, where from or what with, and how many bytes.
const TO: u32 = 0;
const FROM: u32 = 1;
const LEN: u32 = 2;
pub(super) const PARAMS: [ValType; 3] = [ValType::I32; 3];

/// Whether a function of ours is called instead of this operation.
pub(super) fn is_copy(operator: &Operator<'_>) -> bool {
    matches!(operator, Operator::MemoryCopy { .. } | Operator::MemoryFill { .. })
}

/// Where the functions are in the module.
#[derive(Clone, Copy)]
pub(super) struct Functions {
    pub first: u32,
}

impl Functions {
    /// The function to be called instead of an operation, if there is one. Its length may be known.
    pub(super) fn instead_of(self, operator: &Operator<'_>, length: Option<i32>) -> Option<u32> {
        let any = match operator {
            Operator::MemoryCopy { .. } => self.first,
            Operator::MemoryFill { .. } => self.first + 1,
            _ => return None,
        };
        let is_long = length.is_some_and(|length| !(0..=SHORT).contains(&length));
        Some(any + if is_long { 2 } else { 0 })
    }

    /// Their bodies. `metered` begins one in which an operation pays and is split: the first local that is free, and the
    /// locals before.
    pub(super) fn bodies<'m>(self, metered: impl Fn(u32, Vec<(u32, ValType)>) -> Metered<'m>) -> [Function; FUNCTIONS] {
        let long = |operator, touch: fn(&mut Function)| {
            let mut body = metered(AT + 2, vec![(2, ValType::I32)]);
            if !unwired(Limit::Headroom) {
                touch(&mut body.function);
            }
            for param in [TO, FROM, LEN] {
                body.function.instruction(&Instruction::LocalGet(param));
            }
            body.pay_by_length(&operator);
            body.function.instruction(&pieces::whole(&operator));
            body.function.instruction(&Instruction::End);
            body.function
        };
        [
            copy(self.first + 2),
            fill(self.first + 3),
            long(Operator::MemoryCopy { dst_mem: 0, src_mem: 0 }, touch_both),
            long(Operator::MemoryFill { mem: 0 }, touch_one),
        ]
    }
}

/// Copies a short range.
fn copy(long: u32) -> Function {
    // The last bytes' addresses, after the parameters.
    const TO_END: u32 = 3;
    const FROM_END: u32 = 4;
    /// Copies from `width` to twice as many bytes times `times`.
    fn words(code: &mut InstructionSink<'_>, width: Width, times: u32) {
        for (at, end) in [(TO, TO_END), (FROM, FROM_END)] {
            code.local_get(at).local_get(LEN).i32_add().i32_const(width.bytes(times)).i32_sub().local_set(end);
        }
        let places =
            || [(TO, FROM), (TO_END, FROM_END)].into_iter().flat_map(|ends| (0..times).map(move |at| (ends, at)));
        for ((to, from), at) in places() {
            code.local_get(to).local_get(from);
            width.load(code, at);
        }
        for (_, at) in places().collect::<Vec<_>>().into_iter().rev() {
            width.store(code, at);
        }
        code.return_();
    }
    /// Copies one byte, two or three: the first, the one in the middle, and the last.
    fn bytes(code: &mut InstructionSink<'_>) {
        code.local_get(TO).local_get(FROM);
        Width::One.load(code, 0);
        for at in [TO, FROM] {
            code.local_get(at).local_get(LEN).i32_const(1).i32_shr_u().i32_add();
        }
        Width::One.load(code, 0);
        for at in [TO, FROM] {
            code.local_get(at).local_get(LEN).i32_add().i32_const(1).i32_sub();
        }
        Width::One.load(code, 0);
        for _ in 0..3 {
            Width::One.store(code, 0);
        }
        code.return_();
    }
    let mut function = Function::new([(2, ValType::I32)]);
    let mut code = function.instructions();
    code.local_get(TO).local_get(FROM).i32_or();
    by_length(&mut code, words, bytes);
    for param in [TO, FROM, LEN] {
        code.local_get(param);
    }
    code.call(long).end();
    function
}

/// Fills a short range.
fn fill(long: u32) -> Function {
    // The last bytes' address, and eight times the byte, after the parameters.
    const END: u32 = 3;
    const EIGHT: u32 = 4;
    const WITH: u32 = FROM;
    fn words(code: &mut InstructionSink<'_>, width: Width, times: u32) {
        code.local_get(TO).local_get(LEN).i32_add().i32_const(width.bytes(times)).i32_sub().local_set(END);
        code.local_get(WITH).i64_extend_i32_u().i64_const(0xFF).i64_and();
        code.i64_const(0x0101_0101_0101_0101).i64_mul().local_set(EIGHT);
        for (place, at) in [END, TO].into_iter().flat_map(|place| (0..times).rev().map(move |at| (place, at))) {
            code.local_get(place).local_get(EIGHT);
            if width == Width::Four {
                code.i32_wrap_i64();
            }
            width.store(code, at);
        }
        code.return_();
    }
    fn bytes(code: &mut InstructionSink<'_>) {
        code.local_get(TO).local_get(LEN).i32_add().i32_const(1).i32_sub().local_get(WITH);
        Width::One.store(code, 0);
        code.local_get(TO).local_get(LEN).i32_const(1).i32_shr_u().i32_add().local_get(WITH);
        Width::One.store(code, 0);
        code.local_get(TO).local_get(WITH);
        Width::One.store(code, 0);
        code.return_();
    }
    let mut function = Function::new([(1, ValType::I32), (1, ValType::I64)]);
    let mut code = function.instructions();
    code.local_get(TO);
    by_length(&mut code, words, bytes);
    for param in [TO, WITH, LEN] {
        code.local_get(param);
    }
    code.call(long).end();
    function
}

/// Does a short range by words or by bytes, and returns; goes on behind for any other. The highest address is on the stack, or
/// what is not below it.
fn by_length(
    code: &mut InstructionSink<'_>,
    words: impl Fn(&mut InstructionSink<'_>, Width, u32),
    bytes: impl Fn(&mut InstructionSink<'_>),
) {
    code.i32_const(FAR_FROM_THE_END).i32_lt_u().if_(BlockType::Empty);
    code.local_get(LEN).i32_const(16).i32_le_u().if_(BlockType::Empty);
    code.local_get(LEN).i32_const(8).i32_ge_u().if_(BlockType::Empty);
    words(code, Width::Eight, 1);
    code.end();
    code.local_get(LEN).i32_const(4).i32_ge_u().if_(BlockType::Empty);
    words(code, Width::Four, 1);
    code.end();
    code.local_get(LEN).if_(BlockType::Empty);
    bytes(code);
    code.end();
    code.else_();
    code.local_get(LEN).i32_const(32).i32_le_u().if_(BlockType::Empty);
    words(code, Width::Eight, 2);
    code.end();
    code.local_get(LEN).i32_const(SHORT).i32_le_u().if_(BlockType::Empty);
    words(code, Width::Eight, 4);
    code.end();
    code.end();
    code.end();
}

/// Bytes that are moved at once.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Width {
    One,
    Four,
    Eight,
}

impl Width {
    fn bytes(self, times: u32) -> i32 {
        let width = match self {
            Width::One => 1,
            Width::Four => 4,
            Width::Eight => 8,
        };
        width * times as i32
    }

    fn place(self, at: u32) -> MemArg {
        // Nothing is known of how the guest aligns what it copies.
        MemArg { offset: self.bytes(at) as u64, align: 0, memory_index: 0 }
    }

    fn load(self, code: &mut InstructionSink<'_>, at: u32) {
        match self {
            Width::One => code.i32_load8_u(self.place(at)),
            Width::Four => code.i32_load(self.place(at)),
            Width::Eight => code.i64_load(self.place(at)),
        };
    }

    fn store(self, code: &mut InstructionSink<'_>, at: u32) {
        match self {
            Width::One => code.i32_store8(self.place(at)),
            Width::Four => code.i32_store(self.place(at)),
            Width::Eight => code.i64_store(self.place(at)),
        };
    }
}

/// Locals of [`touch`], after the parameters.
const AT: u32 = 3;
const END: u32 = 4;

/// Traps where the range of [`LEN`] bytes at either address is out of bounds.
fn touch_both(function: &mut Function) {
    // The higher of both addresses ends last.
    function.instructions().local_get(TO).local_get(FROM).local_get(TO).local_get(FROM).i32_gt_u().select();
    touch(function);
}

fn touch_one(function: &mut Function) {
    function.instructions().local_get(TO);
    touch(function);
}

/// The same for the address on the stack, which is taken.
fn touch(function: &mut Function) {
    let byte = |offset| MemArg { offset, align: 0, memory_index: 0 };
    let mut code = function.instructions();
    code.local_tee(AT).local_get(LEN).i32_add().local_tee(END).local_get(AT).i32_lt_u();
    // What wraps around did not begin at 0, so this is beyond any memory.
    code.if_(BlockType::Empty).local_get(AT).i32_load8_u(byte(u32::MAX.into())).drop().end();
    // The last byte; where there is none, the one before, which is within bounds exactly if the range is.
    code.local_get(END).if_(BlockType::Empty);
    code.local_get(END).i32_const(1).i32_sub().i32_load8_u(byte(0)).drop().end();
}
