//! Room in a guest for what the host gives it.
//!
//! Invariant: nothing is written to where the guest's allocator points before that was checked.

use bytes::Bytes;
use cis_wasm_abi::{Packed, Region, ceilings};
use cis_wasm_host::unwired::{Limit, unwired};
use wasmer::WASM_PAGE_SIZE;

use crate::error::{Error, ErrorKind};
use crate::guest::{Guest, Parts, internal};
use crate::native::{Env, Func};

/// Where the host puts what it gives the guest.
pub(crate) enum Allocator {
    /// The guest's own `cis_alloc` or `malloc`.
    Guest(Func),
    /// Pages that the host adds at the end of memory.
    Arena(Arena),
}

/// Pages at the end of memory of a guest without an allocator. Rewound after every event.
///
/// When the guest grows its memory itself, the arena goes on behind that, in a new stretch.
#[derive(Clone, Debug, Default)]
pub(crate) struct Arena {
    /// Stretches of memory that belong to the arena: begin and end.
    stretches: Vec<(u64, u64)>,
    /// The stretch in use.
    current: usize,
    /// The first free byte of it.
    next: u64,
}

/// Alignment of everything in the arena: enough for any type of C.
const ARENA_ALIGN: u64 = 16;

impl Arena {
    /// Becomes the same as another, with no allocation where there were as many stretches before.
    pub(crate) fn set_back(&mut self, to: &Arena) {
        self.stretches.clone_from(&to.stretches);
        self.current = to.current;
        self.next = to.next;
    }

    /// Everything given so far is free again.
    pub(crate) fn rewind(&mut self) {
        self.current = 0;
        self.next = self.stretches.first().map_or(0, |(begin, _)| *begin);
    }

    /// Room for so many bytes in what the arena has.
    fn place(&mut self, len: u64) -> Option<u64> {
        let (mut current, mut ptr) = (self.current, self.next);
        loop {
            let (_, end) = self.stretches.get(current)?;
            if ptr + len <= *end {
                self.current = current;
                self.next = (ptr + len).next_multiple_of(ARENA_ALIGN);
                return Some(ptr);
            }
            current += 1;
            (ptr, _) = *self.stretches.get(current)?;
        }
    }

    /// How many bytes have to be added behind a memory of `memory` bytes so that `len` more have room.
    fn missing(&self, len: u64, memory: u64) -> u64 {
        match self.stretches.last() {
            // What is free at the end of the last stretch counts, when the new pages join it.
            Some((_, end)) if *end == memory && self.current + 1 == self.stretches.len() => {
                len.saturating_sub(memory - self.next.min(memory))
            }
            // Pointer 0 is "no bytes": the first bytes of a memory without any stay free.
            _ => len + if memory == 0 { ARENA_ALIGN } else { 0 },
        }
    }

    /// Takes over a stretch that was added at the end of memory.
    fn add(&mut self, begin: u64, end: u64) {
        match self.stretches.last_mut() {
            // The last stretch was too small: what is free of it now reaches into the new pages.
            Some((_, last)) if *last == begin => *last = end,
            _ => {
                let begin = begin.max(ARENA_ALIGN);
                self.stretches.push((begin, end));
                self.current = self.stretches.len() - 1;
                self.next = begin;
            }
        }
    }
}

/// Puts bytes into the guest. They are never at pointer 0, also when there are none. May run guest code.
pub(crate) fn give(env: &mut Env, bytes: &[u8]) -> Result<Region, Error> {
    debug_assert!(bytes.len() <= ceilings::EVENT_DATA.max(ceilings::RESPONSE));
    let len = length(bytes)?;
    let guest = env.guest();
    if let Allocator::Guest(allocate) = guest.parts()?.allocator {
        guest.running()?.allocating = true;
        let ptr = env.call(&allocate, [len.max(1) as i32]) as u32;
        put(env.guest(), ptr, bytes)
    } else {
        let ptr = in_arena(guest, len.max(1))?;
        written(guest, ptr, bytes)
    }
}

/// What it takes to put bytes into a guest that called the host.
pub(crate) enum Putting {
    /// They are there.
    Done(Region),
    /// The guest has to find so much room first: see [`put`].
    Asks { allocate: Func, bytes: u32 },
}

/// Puts bytes into the guest, if no guest code has to run for that.
pub(crate) fn put_at_once(guest: &mut Guest, bytes: &Bytes) -> Result<Putting, Error> {
    let len = length(bytes)?.max(1);
    if let Allocator::Guest(allocate) = guest.parts()?.allocator {
        guest.running()?.allocating = true;
        return Ok(Putting::Asks { allocate, bytes: len });
    }
    let ptr = in_arena(guest, len)?;
    written(guest, ptr, bytes).map(Putting::Done)
}

/// Puts bytes where the guest's allocator says.
pub(crate) fn put(guest: &mut Guest, ptr: u32, bytes: &[u8]) -> Result<Region, Error> {
    guest.running()?.allocating = false;
    let len = length(bytes)?.max(1);
    if !unwired(Limit::Allocator) {
        if ptr == 0 {
            let what = format!("gave no memory for {len} bytes");
            return Err(ErrorKind::BadAllocation { what }.into());
        }
        let size = guest.parts()?.memory.len();
        if (Region { ptr, len }).within(size).is_none() {
            let what = format!("gave {len} bytes at {ptr:#x}, outside of its memory of {size} bytes");
            return Err(ErrorKind::BadAllocation { what }.into());
        }
    }
    written(guest, ptr, bytes)
}

fn written(guest: &mut Guest, ptr: u32, bytes: &[u8]) -> Result<Region, Error> {
    guest.parts_mut()?.memory.write("the guest's allocator", ptr, bytes)?;
    Ok(Region { ptr, len: length(bytes)? })
}

fn length(bytes: &[u8]) -> Result<u32, Error> {
    u32::try_from(bytes.len()).map_err(|_| internal("more than 4 GiB for a guest"))
}

/// Room in the arena. May grow memory.
fn in_arena(guest: &mut Guest, len: u32) -> Result<u32, Error> {
    let limit = guest.memory_cap;
    let parts = guest.parts_mut()?;
    let Allocator::Arena(arena) = &mut parts.allocator else { return Err(internal("the guest's allocator changed")) };
    if let Some(ptr) = arena.place(len.into()) {
        return Ok(ptr as u32);
    }
    let size = parts.memory.len();
    let pages = arena.missing(len.into(), size).div_ceil(WASM_PAGE_SIZE as u64);
    let wanted = size + pages * WASM_PAGE_SIZE as u64;
    let grown = u32::try_from(pages)
        .ok()
        .filter(|_| wanted <= limit || unwired(Limit::Memory))
        .and_then(|pages| parts.memory.grow(pages));
    let begin = grown.ok_or(ErrorKind::OutOfMemory { wanted, limit })?;
    arena.add(begin, parts.memory.len());
    let ptr = arena.place(len.into()).ok_or_else(|| internal("the arena grew and has no room"))?;
    Ok(ptr as u32)
}

/// Adds the first pages of an arena, if there are none and memory may grow. It is done where a snapshot is to be taken, so that
/// no event has the kernel map pages; and before any other event, so that all find a memory of the same size.
pub(crate) fn make_ready(guest: &mut Guest) {
    let is_new = |guest: &Guest| match &guest.parts {
        Some(Parts { allocator: Allocator::Arena(arena), .. }) => arena.stretches.is_empty(),
        _ => false,
    };
    if is_new(guest)
        && in_arena(guest, 1).is_ok()
        && let Some(Parts { allocator: Allocator::Arena(arena), .. }) = &mut guest.parts
    {
        arena.rewind();
    }
}

/// A region as a packed result.
pub(crate) fn packed(region: Region) -> Result<Packed, Error> {
    Packed::bytes(region.ptr, region.len).ok_or_else(|| internal("bytes were put at pointer 0"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_arena_is_reused_after_a_rewind() {
        let mut arena = Arena::default();
        assert_eq!((arena.place(1), arena.missing(1, 0), arena.missing(1, 65_536)), (None, 17, 1));
        arena.add(0, 65_536);
        assert_eq!(arena.place(10), Some(16));
        assert_eq!(arena.place(1), Some(32));
        assert_eq!(arena.place(65_536), None);
        assert_eq!(arena.missing(65_536, 65_536), 48);
        // More pages right behind: one stretch, used from where it was left.
        arena.add(65_536, 3 * 65_536);
        assert_eq!(arena.place(65_536), Some(48));
        arena.rewind();
        assert_eq!(arena.place(8), Some(16));
        assert_eq!(arena.place(8), Some(32));
    }

    #[test]
    fn a_guest_that_grows_in_between_splits_the_arena() {
        let mut arena = Arena::default();
        arena.add(65_536, 131_072);
        assert_eq!(arena.place(65_536), Some(65_536));
        assert_eq!((arena.place(1), arena.missing(1, 196_608)), (None, 1));
        arena.add(262_144, 327_680);
        assert_eq!(arena.place(100), Some(262_144));
        arena.rewind();
        assert_eq!(arena.place(1), Some(65_536));
    }
}
