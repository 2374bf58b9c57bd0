//! Memory of this process's own for an artifact or an object.
//!
//! Invariants:
//! - Nobody else has this memory: it is no mapping of a file, whose bytes others may change.
//! - It begins with a page, and does not move.
//! - What is [`Runnable`] is not written any more.

use std::io::{self, Read};
use std::ops::{Deref, Range};
use std::sync::Arc;

use memmap2::{MmapMut, MmapOptions};

use super::PAGE;

/// What is read at a time, in bytes: few enough to be in the processor's cache still when they are looked at.
pub(crate) const PIECE: usize = 128 << 10;

/// Memory that is written.
pub(crate) struct Room {
    map: MmapMut,
    len: usize,
}

impl Room {
    /// Room for so many bytes, at least one.
    pub(crate) fn of(len: usize) -> io::Result<Self> {
        Ok(Room { map: map(len)?, len })
    }

    /// Room that holds these bytes.
    pub(crate) fn holding(bytes: &[u8]) -> io::Result<Self> {
        let mut room = Room::of(bytes.len())?;
        room.bytes().copy_from_slice(bytes);
        Ok(room)
    }

    pub(super) fn bytes(&mut self) -> &mut [u8] {
        &mut self.map[..self.len]
    }

    /// Fills it, and shows after each piece all that was read so far.
    pub(crate) fn fill(&mut self, from: &mut impl Read, mut seen: impl FnMut(&[u8])) -> io::Result<()> {
        let mut end = 0;
        while end < self.len {
            let begin = end;
            end = self.len.min(begin + PIECE);
            from.read_exact(&mut self.bytes()[begin..end])?;
            seen(&self[..end]);
        }
        Ok(())
    }

    /// The same memory, of which these bytes are code that can be run. They begin with a page, and nothing that is no code
    /// has a part of their pages.
    pub(super) fn runnable(self, code: &Range<usize>) -> io::Result<Runnable> {
        if !code.start.is_multiple_of(PAGE) || code.start > code.end || code.end > self.len {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        protect(&self.map, 0..self.map.len(), Access::Read)?;
        protect(&self.map, code.clone(), Access::Run)?;
        Ok(Runnable(Arc::new(self)))
    }
}

impl Deref for Room {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.map[..self.len]
    }
}

impl AsRef<[u8]> for Room {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

/// Memory with code in it, for reading and running it. Clones are the same memory.
#[derive(Clone)]
pub(super) struct Runnable(Arc<Room>);

impl Runnable {
    /// Gives the pages back to the system that have nothing but this part in them, unless somebody else has a clone. They are
    /// zeros from then on.
    pub(super) fn give_up(&mut self, part: &Range<usize>) {
        let pages = part.start.next_multiple_of(PAGE)..part.end / PAGE * PAGE;
        if let Some(room) = Arc::get_mut(&mut self.0)
            && !pages.is_empty()
            && pages.end <= room.len
        {
            give_back(&room.map, pages);
        }
    }
}

impl Deref for Runnable {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl AsRef<[u8]> for Runnable {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

#[cfg(target_os = "linux")]
fn give_back(map: &MmapMut, pages: Range<usize>) {
    use memmap2::UncheckedAdvice;

    // SAFETY: nobody has a reference into the memory, because whoever has the only clone has lent it exclusively. If it is
    // refused, the pages stay as they are.
    let _ = unsafe { map.unchecked_advise_range(UncheckedAdvice::DontNeed, pages.start, pages.len()) };
}

#[cfg(not(target_os = "linux"))]
fn give_back(_: &MmapMut, _: Range<usize>) {}

#[derive(Clone, Copy)]
enum Access {
    Read,
    Run,
}

#[cfg(unix)]
fn protect(map: &MmapMut, part: Range<usize>, access: Access) -> io::Result<()> {
    if part.is_empty() {
        return Ok(());
    }
    let flags = match access {
        Access::Read => libc::PROT_READ,
        Access::Run => libc::PROT_READ | libc::PROT_EXEC,
    };
    let begin = map[part.clone()].as_ptr().cast_mut().cast();
    // SAFETY: these pages are the mapping's; whoever has it for writing has given it up.
    match unsafe { libc::mprotect(begin, part.len(), flags) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

#[cfg(not(unix))]
fn protect(_: &MmapMut, _: Range<usize>, _: Access) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
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
            [1, PAGE - 1, PAGE, PIECE - 1, PIECE, PIECE + 1, 3 * PIECE, (2 << 20) - 1, 2 << 20, (4 << 20) + 4_097]
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
            assert!(room.as_ptr().addr().is_multiple_of(PAGE));
            let held = Room::holding(&bytes).unwrap();
            assert!(*held == *bytes && held.as_ptr().addr().is_multiple_of(PAGE));
            let short = room.fill(&mut &bytes[1..], |_| {}).unwrap_err();
            assert_eq!(short.kind(), io::ErrorKind::UnexpectedEof);
        }
    }

    #[test]
    fn code_has_pages_of_its_own() {
        let len = 3 * PAGE;
        for code in [1..PAGE, PAGE - 16..len, len..len + 1, 0..len + 1] {
            let refused = Room::of(len).unwrap().runnable(&code).err().map(|error| error.kind());
            assert_eq!(refused, Some(io::ErrorKind::InvalidInput), "{code:?}");
        }
        assert!(Room::of(len).unwrap().runnable(&(PAGE..len)).is_ok());
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn what_is_given_up_is_whole_pages_and_nobody_elses() {
        let whole = || Room::holding(&[7; 5 * PAGE]).unwrap().runnable(&(4 * PAGE..5 * PAGE)).unwrap();
        let zeros = |memory: &Runnable| -> Vec<usize> {
            let places = memory.iter().enumerate().filter(|(_, byte)| **byte == 0);
            places.map(|(place, _)| place).collect()
        };
        for (part, pages) in
            [(1..PAGE, 0..0), (1..2 * PAGE - 1, 0..0), (PAGE - 1..2 * PAGE, 1..2), (PAGE..3 * PAGE + 1, 1..3)]
        {
            let mut memory = whole();
            memory.give_up(&part);
            assert_eq!(zeros(&memory), (pages.start * PAGE..pages.end * PAGE).collect::<Vec<_>>(), "{part:?}");
        }
        let mut memory = whole();
        let other = memory.clone();
        memory.give_up(&(0..4 * PAGE));
        assert!(zeros(&memory).is_empty() && zeros(&other).is_empty());
        memory.give_up(&(0..6 * PAGE));
        assert!(zeros(&memory).is_empty());
    }
}
