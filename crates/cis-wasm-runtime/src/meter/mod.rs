//! Fuel: counted by the guest's own code, so that it needs no signal, no second thread and no luck.
//!
//! Before a module is compiled it is rewritten. A global of its own holds the fuel left in the current slice; every
//! stretch of code that is entered subtracts what it costs and, when the global falls below zero, calls the host for the
//! next slice. There the host adds up, looks at the clock and at whether anybody still waits, and either goes on or stops
//! the event.
//!
//! Invariants:
//! - **Nothing runs unpaid.** Between two payments of one activation there are at most the instructions that the first
//!   paid for. Every loop iteration and every call pays at least one unit.
//! - **The count is a function of the run.** It is made of WebAssembly instructions, not of machine code or time, so it is
//!   the same on every compiler.
//! - **The guest cannot reach the counter.** It is the last global, and no instruction of the guest's was validated with
//!   so many globals.

mod plan;
mod rewrite;

pub(crate) use rewrite::{ADDED_FUNCTIONS, FUEL_GLOBAL, METER_MODULE, REFUEL, START, rewrite};
