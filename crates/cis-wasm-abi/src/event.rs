//! Event types with a meaning of their own. Every other type is the integrator's.

/// Sent by an integrator that wants its skills to prepare: data is a JSON object, by convention the host's settings.
///
/// Not the same as the export `skill_init`, which the runtime calls once at load.
pub const EVENT_INIT: &str = "init";

/// A clock tick: data is a JSON object with `unix_ms`, milliseconds since the Unix epoch.
pub const EVENT_TICK: &str = "tick";

/// A memory key changed: data is a JSON object with `key` and `change` (`"set"` or `"deleted"`).
pub const EVENT_MEMORY_CHANGE: &str = "memory.change";
