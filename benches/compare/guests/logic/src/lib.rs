//! What the workloads do, knowing no engine. Whoever calls brings a [`World`].
#![no_std]

extern crate alloc;

mod agent;
mod pages;

use alloc::vec;
use alloc::vec::Vec;

use sha2::{Digest, Sha256};

pub use agent::{agent_step, agent_step_alone};
pub use pages::write_pages;

/// What an event asks of its host.
pub trait World {
    /// The value of a key.
    fn get(&mut self, key: &str) -> Option<Vec<u8>>;
    /// Stores a value.
    fn set(&mut self, key: &str, value: &[u8]);
    /// Writes a line to the log.
    fn log(&mut self, line: &str);
}

/// Asks for a key that is not there, a thousand times, and says how often that was so.
pub fn host_1000(world: &mut impl World) -> Vec<u8> {
    let missing = (0..1000).filter(|_| world.get("no such").is_none()).count();
    (missing as u32).to_le_bytes().to_vec()
}

/// SHA-256 of a mebibyte.
pub fn compute() -> Vec<u8> {
    let mut block = vec![0_u8; 4096];
    // Numbers that look like any others and are the same every time (xorshift64*, Vigna 2016).
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    for bytes in block.chunks_exact_mut(8) {
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        bytes.copy_from_slice(&state.wrapping_mul(0x2545_F491_4F6C_DD1D).to_le_bytes());
    }
    let mut hash = Sha256::new();
    for _ in 0..256 {
        hash.update(&block);
    }
    hash.finalize().to_vec()
}
