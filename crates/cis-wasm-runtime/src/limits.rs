//! What one event may use of the machine, and what it used.

use std::fmt;
use std::time::Duration;

use cis_wasm_host::Ledger;
pub use cis_wasm_host::Limits;

/// What an event was allowed and what it used. Every event has one, also a failed one.
///
/// Its text is one line of what was used, without the resources of which nothing was.
///
/// ```
/// # let wasm = wat::parse_str(r#"(module (memory (export "memory") 1)
/// #     (func (export "skill_on_event") (param i32 i32 i32 i32) (result i32) (i32.const 0)))"#)?;
/// let outcome = cis_wasm_runtime::WasmRuntime::new()?.load_skill(&wasm)?.run("go", b"");
/// assert!(outcome.receipt.to_string().starts_with("memory_bytes=131072 fuel=1 wall_us="));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// The engine's limits.
    pub limits: Limits,
    /// What the host did for the guest, with its limits.
    pub ledger: Ledger,
    /// Fuel used. The same for the same module, event and replies, on either compiler.
    pub fuel: u64,
    /// Linear memory at the end of the event, in bytes.
    pub memory_bytes: u64,
    /// Time from the start of the event to its end, waiting included.
    pub wall: Duration,
}

impl fmt::Display for Receipt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (resource, amount) in self.ledger.used().iter().filter(|(_, amount)| *amount > 0) {
            write!(f, "{}={amount} ", resource.name())?;
        }
        write!(f, "memory_bytes={} fuel={} wall_us={}", self.memory_bytes, self.fuel, self.wall.as_micros())
    }
}
