//! Operations over much memory, done piece by piece.
//!
//! Such an operation is paid for as a whole, but the machine does not hurry for that: memory that is touched for the first
//! time costs a page fault for every 4 KiB, and where other threads of the process run, an interrupt for each of them. So
//! it is split, and the clock is looked at between the pieces.
//!
//! What must stay true: the pieces do what the whole does. Where the whole would trap nothing is split, so that it does;
//! and a copy onto a higher, overlapping place begins at its end.

use wasm_encoder::{BlockType, Instruction};
use wasmparser::Operator;

use super::rewrite::Metered;

/// Bytes in a piece: 64 pages of the machine's.
const PIECE: i32 = 256 << 10;

/// Locals of its own that a function needs for this: where to, and where from or what with.
pub(super) const LOCALS: u32 = 2;

/// Whether an operation is split.
pub(super) fn is_split(operator: &Operator<'_>) -> bool {
    matches!(operator, Operator::MemoryCopy { .. } | Operator::MemoryFill { .. } | Operator::MemoryInit { .. })
}

/// Such an operation as it is.
pub(super) fn whole(operator: &Operator<'_>) -> Instruction<'static> {
    match operator {
        Operator::MemoryCopy { dst_mem, src_mem } => Instruction::MemoryCopy { src_mem: *src_mem, dst_mem: *dst_mem },
        Operator::MemoryInit { data_index, mem } => Instruction::MemoryInit { mem: *mem, data_index: *data_index },
        _ => Instruction::MemoryFill(0),
    }
}

impl Metered<'_> {
    /// Does an operation's pieces but for the last one, which is left for the operation itself: its operands are on the
    /// stack before and afterwards. The length is in its local.
    pub(super) fn do_pieces(&mut self, operator: &Operator<'_>, segments: &[u32]) {
        let (to, from, length) = (self.length + 1, self.length + 2, self.length);
        let mut put = |instruction: Instruction<'_>| {
            self.function.instruction(&instruction);
        };
        put(Instruction::LocalSet(length));
        put(Instruction::LocalSet(from));
        put(Instruction::LocalSet(to));

        put(Instruction::LocalGet(length));
        put(Instruction::I32Const(PIECE));
        put(Instruction::I32GtU);
        put(Instruction::If(BlockType::Empty));
        // Whether all of it lies within memory, and within the segment.
        ends_after(&mut put, to, length, None);
        match operator {
            Operator::MemoryCopy { .. } => {
                ends_after(&mut put, from, length, None);
                put(Instruction::I32Or);
            }
            Operator::MemoryInit { data_index, .. } => {
                let bytes = segments.get(*data_index as usize).copied().unwrap_or(0);
                ends_after(&mut put, from, length, Some(bytes));
                put(Instruction::I32Or);
            }
            _ => {}
        }
        put(Instruction::I32Eqz);
        put(Instruction::If(BlockType::Empty));
        put(Instruction::Loop(BlockType::Empty));
        let piece = Pieces { to, from, length, operator };
        if matches!(operator, Operator::MemoryCopy { .. }) {
            put(Instruction::LocalGet(to));
            put(Instruction::LocalGet(from));
            put(Instruction::I32GtU);
            put(Instruction::If(BlockType::Empty));
            piece.last(&mut put);
            put(Instruction::Else);
            piece.first(&mut put);
            put(Instruction::End);
        } else {
            piece.first(&mut put);
        }
        put(Instruction::LocalGet(length));
        put(Instruction::I32Const(PIECE));
        put(Instruction::I32Sub);
        put(Instruction::LocalSet(length));
        self.look_at_the_clock();
        let mut put = |instruction: Instruction<'_>| {
            self.function.instruction(&instruction);
        };
        put(Instruction::LocalGet(length));
        put(Instruction::I32Const(PIECE));
        put(Instruction::I32GtU);
        put(Instruction::BrIf(0));
        put(Instruction::End);
        put(Instruction::End);
        put(Instruction::End);

        put(Instruction::LocalGet(to));
        put(Instruction::LocalGet(from));
        put(Instruction::LocalGet(length));
    }
}

/// Whether `at` and `length` together lie behind the end: of memory, or of so many bytes.
fn ends_after(put: &mut impl FnMut(Instruction<'_>), at: u32, length: u32, bytes: Option<u32>) {
    put(Instruction::LocalGet(at));
    put(Instruction::I64ExtendI32U);
    put(Instruction::LocalGet(length));
    put(Instruction::I64ExtendI32U);
    put(Instruction::I64Add);
    match bytes {
        Some(bytes) => put(Instruction::I64Const(bytes.into())),
        None => {
            put(Instruction::MemorySize(0));
            put(Instruction::I64ExtendI32U);
            put(Instruction::I64Const(16));
            put(Instruction::I64Shl);
        }
    }
    put(Instruction::I64GtU);
}

/// The operands of the operation that is split.
struct Pieces<'o> {
    to: u32,
    from: u32,
    length: u32,
    operator: &'o Operator<'o>,
}

impl Pieces<'_> {
    /// The first piece of what is left.
    fn first(&self, put: &mut impl FnMut(Instruction<'_>)) {
        put(Instruction::LocalGet(self.to));
        put(Instruction::LocalGet(self.from));
        self.piece(put);
        self.advance(put, self.to);
        if !matches!(self.operator, Operator::MemoryFill { .. }) {
            self.advance(put, self.from);
        }
    }

    /// The last piece of what is left.
    fn last(&self, put: &mut impl FnMut(Instruction<'_>)) {
        for at in [self.to, self.from] {
            put(Instruction::LocalGet(at));
            put(Instruction::LocalGet(self.length));
            put(Instruction::I32Add);
            put(Instruction::I32Const(PIECE));
            put(Instruction::I32Sub);
        }
        self.piece(put);
    }

    fn advance(&self, put: &mut impl FnMut(Instruction<'_>), at: u32) {
        put(Instruction::LocalGet(at));
        put(Instruction::I32Const(PIECE));
        put(Instruction::I32Add);
        put(Instruction::LocalSet(at));
    }

    fn piece(&self, put: &mut impl FnMut(Instruction<'_>)) {
        put(Instruction::I32Const(PIECE));
        put(whole(self.operator));
    }
}
