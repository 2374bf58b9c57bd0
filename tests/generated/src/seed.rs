//! Bytes from a number, for runs that are the same everywhere and always.

/// So many bytes that depend on `seed` alone: SplitMix64, whose constants these are.
pub fn bytes(seed: u64, len: usize) -> Vec<u8> {
    // Seeds next to each other must not give streams that overlap, so the first state is mixed too.
    let mut state = mix(seed);
    let mut bytes = Vec::with_capacity(len + 8);
    while bytes.len() < len {
        state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        bytes.extend(mix(state).to_le_bytes());
    }
    bytes.truncate(len);
    bytes
}

fn mix(state: u64) -> u64 {
    let state = (state ^ (state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let state = (state ^ (state >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    state ^ (state >> 31)
}
