//! A module's machine code as one object: linked once, and run where it was read.
//!
//! The engine loads an artifact by copying each function to memory of its own and linking it there, and says for each where
//! it is. Half of a start from a cache was that. Here all of it is laid out when the module was compiled: every distance is in
//! the code, and what is left to do is to add to some addresses where the object came to lie. So it is read to where it runs.
//!
//! An object is for memory whose first [`HEADROOM`] bytes are another's: a cache's header. A place is a distance from the
//! begin of that memory, which is the begin of a page. From [`HEADROOM`] on:
//!
//! | part | what |
//! |---|---|
//! | head | [`MAGIC`], and where each of the others begins and ends |
//! | engine | what the engine is given: its description of the module, then the places of functions and trampolines. Given back when it has read that |
//! | data | sections that are read: how frames are unwound, constants |
//! | based | places of addresses within the object, each of which is its place as long as it is not loaded |
//! | libcalls | places of addresses of the engine's functions, each with that function's number |
//! | lengths | of each function, in bytes |
//! | traps | which instructions trap, and how: an archive of the engine's |
//! | code | from the begin of a page: functions, trampolines, sections that run |
//!
//! - [`link`] makes an object of what the engine has compiled.
//! - [`load`] owns one that is run: [`Mapped`].
//! - [`room`] owns the memory that it is in.
//!
//! Invariants:
//! - **An object is made of what the engine wrote and nothing else**, and its code is what the engine's own linking would give,
//!   bit for bit, but for trampolines that nobody calls. What cannot be linked here stays the engine's artifact, as it is on
//!   every other system than this.
//! - **Memory is either written or run.** Code can be run when all of the object can be written no more.
//! - **Code outlives whoever can run it.** An instance keeps the code that it was made of, until it is dropped itself.

mod link;
mod load;
mod room;

use std::ops::Range;

pub(crate) use self::link::{Linked, link};
pub(crate) use self::load::{Mapped, load};
pub(crate) use self::room::{PIECE, Room};

/// Bytes before an object that are another's.
pub(crate) const HEADROOM: usize = 96;

/// How an object begins.
const MAGIC: [u8; 16] = *b"cis-skill object";

/// What memory is protected by.
const PAGE: usize = 4096;

/// What the engine aligns functions to, and sections that are read. See `CodeMemory` in wasmer-compiler 7.4.2.
const CODE_ALIGNMENT: usize = 16;
const DATA_ALIGNMENT: usize = 64;

/// Bytes of a number in an object.
const WORD: usize = size_of::<u32>();

/// Where the parts of an object are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Parts {
    engine: Range<usize>,
    /// That one of the sections that are read which says how frames are unwound; empty when there is none.
    unwind: Range<usize>,
    based: Range<usize>,
    libcalls: Range<usize>,
    lengths: Range<usize>,
    traps: Range<usize>,
    code: Range<usize>,
}

/// Bytes of the head.
const HEAD: usize = MAGIC.len() + 7 * 2 * WORD;

/// Whether it is an object that lies behind the headroom.
pub(crate) fn is_one(room: &[u8]) -> bool {
    room.get(HEADROOM..).is_some_and(|rest| rest.starts_with(&MAGIC))
}

impl Parts {
    fn each(&mut self) -> [&mut Range<usize>; 7] {
        let Parts { engine, unwind, based, libcalls, lengths, traps, code } = self;
        [engine, unwind, based, libcalls, lengths, traps, code]
    }

    /// The head that says so. Fails where an object is too large for it.
    fn head(&self) -> Option<Vec<u8>> {
        let mut head = MAGIC.to_vec();
        for part in self.clone().each() {
            for place in [part.start, part.end] {
                head.extend(u32::try_from(place).ok()?.to_le_bytes());
            }
        }
        Some(head)
    }

    /// What the head says of an object that lies behind its headroom, if it is one.
    fn of(room: &[u8]) -> Option<Self> {
        let head = room.get(HEADROOM..HEADROOM + HEAD)?.strip_prefix(&MAGIC)?;
        let mut places = words(head).map(|place| place as usize);
        let mut parts = Parts::default();
        for part in parts.each() {
            *part = places.next()?..places.next()?;
            room.get(part.clone())?;
        }
        Some(parts)
    }
}

/// The words of a part.
fn words(part: &[u8]) -> impl ExactSizeIterator<Item = u32> + Clone {
    part.as_chunks::<{ WORD }>().0.iter().map(|word| u32::from_le_bytes(*word))
}

/// Where functions of these lengths begin, from the first one on.
fn begins(lengths: impl Iterator<Item = usize>) -> impl Iterator<Item = usize> {
    lengths.scan(0, |end: &mut usize, length| {
        let begin = *end;
        *end += length.next_multiple_of(CODE_ALIGNMENT);
        Some(begin)
    })
}
