//! Memory backends that come with the host.

mod in_memory;
#[cfg(feature = "redb")]
mod redb;

pub use in_memory::InMemory;
#[cfg(feature = "redb")]
pub use redb::RedbMemory;
