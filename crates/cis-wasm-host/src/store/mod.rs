//! Memory backends that come with the host.

mod in_memory;

pub use in_memory::InMemory;
