//! Fuel: counted by the guest's own code, so that it needs no signal, no second thread and no luck.
//!
//! Before a module is compiled it is rewritten. A global of its own holds the fuel left in the current slice; every
//! stretch of code that is entered subtracts what it costs and, when the global falls below zero, calls the host for the
//! next slice. There the host adds up, looks at the clock and at whether anybody still waits, and either goes on or stops
//! the event.
//!
//! Invariants:
//! - **Nothing runs unpaid.** Every stretch of code is paid for before it runs, by itself or by the call that leads to it
//!   ([`plan`], [`bill`]). Every turn of a loop and every turn of a recursion pays at least one unit.
//! - **The count is a function of the run.** It is made of WebAssembly instructions, not of machine code or time, so it is
//!   the same on every compiler.
//! - **The counter is in its global whenever the host looks**: across every call that may lead to the host, and at every
//!   exit. A run that ends in a trap is counted as far as the last of these, less than a slice short, and the same everywhere too.
//! - **The guest cannot reach the counter.** It and what else is added are the last globals, and no
//!   instruction of the guest's was validated with so many globals.

mod bill;
mod pieces;
mod plan;
mod rewrite;

pub(crate) use rewrite::{ADDED_FUNCTIONS, FUEL_GLOBAL, METER_MODULE, Metering, REFUEL, START, rewrite};
