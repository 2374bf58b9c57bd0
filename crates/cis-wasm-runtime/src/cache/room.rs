//! Memory of this process's own for an artifact.
//!
//! Invariants:
//! - Nobody else has this memory: it is no mapping of a file, whose bytes others may change.
//! - It begins at an address that is divisible by [`ALIGNMENT`], and does not move.

use std::io::{self, Read};
use std::ops::Deref;

use memmap2::{MmapMut, MmapOptions};

/// What is read at a time, in bytes: few enough to be in the processor's cache still when they are looked at.
pub(super) const PIECE: usize = 128 << 10;

/// What the engine's archives are aligned to.
pub(super) const ALIGNMENT: usize = 16;
/// With fewer bytes than this it is the allocator's: pages of its own would be half empty.
const SMALL: usize = 64 << 10;

/// The bytes of an artifact, or of its file.
pub(crate) struct Room {
    memory: Memory,
    len: usize,
}

enum Memory {
    Pages(MmapMut),
    /// The bytes from there on.
    Allocated(Box<[u8]>, usize),
}

impl Room {
    /// Room for so many bytes.
    pub(super) fn of(len: usize) -> io::Result<Self> {
        let memory = if len < SMALL {
            let bytes = vec![0; len + ALIGNMENT - 1].into_boxed_slice();
            let begin = bytes.as_ptr().align_offset(ALIGNMENT);
            Memory::Allocated(bytes, begin)
        } else {
            Memory::Pages(map(len)?)
        };
        Ok(Room { memory, len })
    }

    /// Room that holds these parts, one behind the other.
    pub(super) fn holding(parts: &[&[u8]]) -> io::Result<Self> {
        let mut room = Room::of(parts.iter().map(|part| part.len()).sum())?;
        let mut rest = room.bytes();
        for part in parts {
            let (place, behind) = rest.split_at_mut(part.len());
            place.copy_from_slice(part);
            rest = behind;
        }
        Ok(room)
    }

    fn bytes(&mut self) -> &mut [u8] {
        match &mut self.memory {
            Memory::Pages(map) => &mut map[..self.len],
            Memory::Allocated(bytes, begin) => &mut bytes[*begin..*begin + self.len],
        }
    }

    /// Fills it, and shows after each piece all that was read so far.
    pub(super) fn fill(&mut self, from: &mut impl Read, mut seen: impl FnMut(&[u8])) -> io::Result<()> {
        let mut end = 0;
        while end < self.len {
            let begin = end;
            end = self.len.min(begin + PIECE);
            from.read_exact(&mut self.bytes()[begin..end])?;
            seen(&self[..end]);
        }
        Ok(())
    }
}

impl Deref for Room {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match &self.memory {
            Memory::Pages(map) => &map[..self.len],
            Memory::Allocated(bytes, begin) => &bytes[*begin..*begin + self.len],
        }
    }
}

impl AsRef<[u8]> for Room {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

/// A mapping with all of its pages: one fault for each would cost more than the reading. Most of a large one is in large
/// pages where the system has them, which cost less again.
#[cfg(target_os = "linux")]
fn map(len: usize) -> io::Result<MmapMut> {
    use memmap2::Advice;

    /// What large pages there are on most processors, in bytes.
    const LARGE: usize = 2 << 20;

    if len < LARGE {
        return MmapOptions::new().len(len).populate().map_anon();
    }
    // The system aligns to large pages what is a number of them. What is beyond the file stays without memory.
    let map = MmapOptions::new().len(len.next_multiple_of(LARGE)).map_anon()?;
    // Either of them may be refused: then the pages come one by one.
    let _ = map.advise_range(Advice::HugePage, 0, len - len % LARGE);
    let _ = map.advise_range(Advice::PopulateWrite, 0, len);
    Ok(map)
}

#[cfg(not(target_os = "linux"))]
fn map(len: usize) -> io::Result<MmapMut> {
    MmapOptions::new().len(len).populate().map_anon()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_room_holds_what_was_read() {
        for len in
            [1, SMALL - 1, SMALL, PIECE - 1, PIECE, PIECE + 1, 3 * PIECE, (2 << 20) - 1, 2 << 20, (4 << 20) + 4_097]
        {
            let bytes: Vec<u8> = (0..len).map(|at| (at / 7) as u8).collect();
            let mut room = Room::of(len).unwrap();
            let mut seen = 0;
            room.fill(&mut &bytes[..], |so_far| {
                assert!(so_far.len() > seen && bytes.starts_with(so_far));
                seen = so_far.len();
            })
            .unwrap();
            assert_eq!((seen, &room[..]), (len, &bytes[..]));
            assert!(room.as_ptr().addr().is_multiple_of(ALIGNMENT));
            let (part, rest) = bytes.split_at(len / 3);
            let held = Room::holding(&[part, &[], rest]).unwrap();
            assert!(*held == *bytes && held.as_ptr().addr().is_multiple_of(ALIGNMENT));
            let short = room.fill(&mut &bytes[1..], |_| {}).unwrap_err();
            assert_eq!(short.kind(), io::ErrorKind::UnexpectedEof);
        }
    }
}
