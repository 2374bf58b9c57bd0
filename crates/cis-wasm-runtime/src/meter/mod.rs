//! Fuel: counted by the guest's own code, so that it is the same on every machine and every compiler.
//!
//! Before a module is compiled it is rewritten. A global of its own holds the fuel that is left; every stretch of code that
//! is entered subtracts what it costs from it or, where that would take it below zero, traps; as a division by zero, since that is
//! a trap of guest code and needs none of its stack ([`crate::headroom`]). Short loops pay for two turns at once ([`unroll`]). How long that takes is no business of
//! this code: [`crate::interrupt`] stops a run from outside. Where it cannot, code that has used up a slice calls the host
//! instead ([`Metering::Asks`]), which looks at the clock and gives it the next one.
//!
//! Invariants:
//! - **Nothing runs unpaid.** Every stretch of code is paid for before it runs, by itself or by the call that leads to it
//!   ([`plan`], [`bill`]). Every turn of a loop, every second one of a short loop, and every turn of a recursion pays at least
//!   one unit.
//! - **The count is a function of the run.** It is made of WebAssembly instructions, not of machine code or time, so it is
//!   the same on every compiler.
//! - **The counter is in its global whenever the host looks.** A function that has a copy of it in a register pays from that,
//!   and brings the global up to date before whatever may look or pay elsewhere: a call of a function that may, an operation
//!   over a length, its own end. A run that ends in a trap of its own in such a function, or is stopped there, is counted as far as the last of
//!   these; how far that is does not depend on the compiler.
//! - **A counter that somebody else changed is seen** after every call and operation over a length that the guest makes: where
//!   there is a copy of it, that is old from then on, and brought up to date before it is used, or before control meets with
//!   control from elsewhere (`Copied` in [`rewrite`]).
//! - **The guest cannot reach the counter.** It is the last global, and no instruction of the guest's was validated with so
//!   many globals.

mod bill;
mod bulk;
mod often;
mod pieces;
mod plan;
mod rewrite;
mod unroll;

pub(crate) use rewrite::{
    ADDED_FUNCTIONS, CODE_BEGIN, CODE_END, LASTING, METER_MODULE, Metering, REFUEL, START, rewrite,
};

/// Modules of the tests'.
#[cfg(test)]
mod tests {
    use wasmparser::{FunctionBody, Operator, Parser, Payload};

    /// A module's first function.
    pub(super) fn first_function(wasm: &[u8]) -> FunctionBody<'_> {
        let body = Parser::new(0).parse_all(wasm).find_map(|payload| match payload.unwrap() {
            Payload::CodeSectionEntry(body) => Some(body),
            _ => None,
        });
        body.unwrap()
    }

    /// What it is made of.
    pub(super) fn operators(wasm: &[u8]) -> Vec<Operator<'_>> {
        first_function(wasm).get_operators_reader().unwrap().into_iter().map(Result::unwrap).collect()
    }
}
