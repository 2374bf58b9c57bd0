//! Traps of the engine, as stable codes with the guest's own function names.

use std::fmt;

use cis_wasm_host::unwired::{Limit, unwired};
use wasmer::RuntimeError;
use wasmer::sys::vm::TrapCode;

use crate::check::Shape;
use crate::error::{Error, ErrorKind};
use crate::imports::Stop;
use crate::meter::ADDED_FUNCTIONS;

/// How many frames an error keeps: a runaway recursion has tens of thousands.
const MOST_FRAMES: usize = 16;

/// How long a function's name in an error may be, in bytes.
const LONGEST_NAME: usize = 512;

/// What a guest did that WebAssembly does not let it do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TrapKind {
    /// A float that has no place in the integer type it was converted to.
    BadConversion,
    /// A function of one type called as another.
    BadSignature,
    /// An integer divided by zero.
    DivisionByZero,
    /// A null entry of a table called.
    NullCall,
    /// Memory accessed out of bounds.
    OutOfBounds,
    /// An integer division that overflows.
    Overflow,
    /// The call stack exhausted: a recursion without end.
    StackOverflow,
    /// A table accessed out of bounds.
    TableOutOfBounds,
    /// `unreachable` executed: how compilers end a program that panicked or aborted.
    Unreachable,
}

impl TrapKind {
    /// The stable code of an error with this trap.
    pub const fn code(self) -> &'static str {
        match self {
            TrapKind::BadConversion => "trap_bad_conversion",
            TrapKind::BadSignature => "trap_bad_signature",
            TrapKind::DivisionByZero => "trap_division_by_zero",
            TrapKind::NullCall => "trap_null_call",
            TrapKind::OutOfBounds => "trap_out_of_bounds",
            TrapKind::Overflow => "trap_overflow",
            TrapKind::StackOverflow => "trap_stack_overflow",
            TrapKind::TableOutOfBounds => "trap_table_out_of_bounds",
            TrapKind::Unreachable => "trap_unreachable",
        }
    }

    /// What happened, for people.
    pub const fn meaning(self) -> &'static str {
        match self {
            TrapKind::BadConversion => "a float does not fit the integer it was converted to",
            TrapKind::BadSignature => "a function was called with the wrong type",
            TrapKind::DivisionByZero => "an integer was divided by zero",
            TrapKind::NullCall => "an empty table entry was called",
            TrapKind::OutOfBounds => "memory was accessed out of bounds",
            TrapKind::Overflow => "an integer division overflowed",
            TrapKind::StackOverflow => "the call stack is exhausted",
            TrapKind::TableOutOfBounds => "a table was accessed out of bounds",
            TrapKind::Unreachable => "it panicked or aborted",
        }
    }

    fn of(code: TrapCode) -> Option<Self> {
        Some(match code {
            TrapCode::StackOverflow => TrapKind::StackOverflow,
            TrapCode::HeapAccessOutOfBounds | TrapCode::HeapMisaligned | TrapCode::UnalignedAtomic => {
                TrapKind::OutOfBounds
            }
            TrapCode::TableAccessOutOfBounds => TrapKind::TableOutOfBounds,
            TrapCode::IndirectCallToNull => TrapKind::NullCall,
            TrapCode::BadSignature => TrapKind::BadSignature,
            TrapCode::IntegerOverflow => TrapKind::Overflow,
            TrapCode::IntegerDivisionByZero => TrapKind::DivisionByZero,
            TrapCode::BadConversionToInteger => TrapKind::BadConversion,
            TrapCode::UnreachableCodeReached => TrapKind::Unreachable,
            _ => return None,
        })
    }
}

/// One call on the guest's stack.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// The function's name, demangled, when the module carries names.
    pub name: Option<String>,
    /// The function's index in the module as its author built it.
    pub index: u32,
}

impl fmt::Display for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.name {
            Some(name) => f.write_str(name),
            None => write!(f, "function {}", self.index),
        }
    }
}

/// How many functions a module has as its author built it, before others were added.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Authored {
    pub imports: u32,
    /// With those that are imported.
    pub functions: u32,
}

impl Authored {
    pub(crate) fn of(shape: &Shape) -> Self {
        Authored { imports: shape.imports.len() as u32, functions: shape.functions }
    }

    /// The author's index of a function, unless it is one of ours. Metering puts its imports behind the module's own, which
    /// moves every defined function, and others come behind all.
    fn index(self, index: u32) -> Option<u32> {
        let index = if index < self.imports { index } else { index.saturating_sub(ADDED_FUNCTIONS) };
        (index < self.functions).then_some(index)
    }
}

/// What a failed call into the guest means.
pub(crate) fn classify(error: RuntimeError, authored: Authored) -> Error {
    let error = match error.downcast::<Stop>() {
        Ok(Stop(stop)) => return stop,
        Err(error) => error,
    };
    let frames = error.trace().iter().filter_map(|frame| {
        let index = authored.index(frame.func_index())?;
        Some(Frame { name: frame.function_name().map(shown), index })
    });
    let frames = frames.take(MOST_FRAMES).collect();
    let message = error.message();
    match error.to_trap().and_then(TrapKind::of) {
        Some(trap) => ErrorKind::Trapped { trap, frames, text: None }.into(),
        None => ErrorKind::Internal { message: format!("the engine stopped the guest: {message}") }.into(),
    }
}

/// A function's name for people. What a mangled name stands for may be far longer than itself.
fn shown(name: &str) -> String {
    let mut shown = format!("{:#}", rustc_demangle::demangle(name));
    if shown.len() > LONGEST_NAME && !unwired(Limit::Names) {
        shown.truncate(shown.floor_char_boundary(LONGEST_NAME));
    }
    shown
}
