//! What an instance's imports can reach: its memory, its allocator, and the event that is being handled.

use cis_wasm_abi::{Packed, Region, ceilings};
use cis_wasm_host::unwired::{Limit, unwired};
use cis_wasm_host::{CallContext, Host, HostCall, HostError, HostReply};
use std::sync::Arc;
use std::task::Context;
use std::time::{Duration, Instant};
use wasmer::{FunctionEnvMut, TypedFunction, WASM_PAGE_SIZE};

use crate::clock::{Clock, Fuel};
use crate::counter::Counter;
use crate::error::{Error, ErrorKind};
use crate::interrupt;
use crate::memory::{self, GuestMemory};
use crate::pending::Pending;
use crate::trap;
use crate::wait::{block_on, poll_for};
use crate::worker::{Away, SkillId, Workers};

/// The environment of an instance's imports.
pub(crate) struct Guest {
    /// Functions the module imports, for naming frames.
    pub imports: u32,
    /// The cap on memory in bytes, for errors.
    pub memory_cap: u64,
    /// Set once, right after instantiation and before any of the guest's code runs.
    pub parts: Option<Parts>,
    /// The event that is being handled. Present exactly while guest code may run.
    pub running: Option<Running>,
}

/// What of an instance the host works with.
pub(crate) struct Parts {
    pub memory: GuestMemory,
    pub fuel: Counter,
    pub allocator: Allocator,
}

/// One run of guest code: an event, an initialisation or a shutdown.
pub(crate) struct Running {
    pub host: Host,
    /// In a box that its instance keeps for the next run: it is large, and a run is handed on a few times.
    pub context: Box<CallContext>,
    pub fuel: Fuel,
    pub clock: Clock,
    /// Whether the watch stops it when it is due. Otherwise it looks at the clock itself.
    pub watched: bool,
    /// What happens when a host call is not answered at once.
    pub patience: Patience,
    /// Why the run was put down, if it was. It is to be run again.
    pub put_down: Option<PutDown>,
    /// The workers this runs on, when it does not run on a thread that somebody lent.
    pub worker: Option<OnWorker>,
    /// Whether the guest is allocating for the host. It may not call the host then: every such call would allocate again.
    pub allocating: bool,
}

/// What each run needs and leaves behind for the next one on its instance. It counts references that all instances of a
/// skill share, and so no thread has to wait for another that counts the same.
pub(crate) struct Kit {
    pub host: Host,
    /// Nothing has happened in it.
    pub context: Box<CallContext>,
}

/// What happens when a host call is not answered at once.
#[derive(Clone, Copy)]
pub(crate) enum Patience {
    /// The thread waits for the answer.
    Holds,
    /// The thread waits for so long, if nobody else wants it, and then the run is put down.
    Parks(Duration),
    /// The run is put down at once, and also when it has taken long: its thread is not ours to keep.
    Inline { since: Instant },
}

/// Why a run was put down.
pub(crate) enum PutDown {
    /// A call has not been answered.
    Waits(Pending),
    /// It has taken long.
    Long,
}

/// How long a run may have a thread that is not ours and make host calls. Longer than the work that its fuel is good for, because
/// a thread that has to wait for a processor takes no longer for it.
const INLINE: Duration = Duration::from_micros(150);

impl Running {
    /// Makes a host call and waits for the answer, as long as the run has patience.
    pub(crate) fn ask(&mut self, call: HostCall) -> Result<Result<HostReply, HostError>, Error> {
        let name = call.name();
        if let Patience::Inline { since } = self.patience
            && since.elapsed() > INLINE
        {
            return Err(self.put_down(PutDown::Long));
        }
        let patience = match self.patience {
            _ if self.context.journal.is_replaying() || !self.host.may_wait(&call) => None,
            Patience::Holds => None,
            // That short a wait needs nobody to take the thread's place; and nobody who wants it has to wait.
            Patience::Parks(patience) => {
                let wanted = self.worker.as_ref().is_some_and(|worker| worker.workers.are_wanted());
                Some(if wanted { Duration::ZERO } else { patience })
            }
            Patience::Inline { .. } => Some(Duration::ZERO),
        };
        let Some(patience) = patience else {
            let asked = self.host.call(&mut self.context, call);
            return block_on(asked, &self.clock, name, self.worker.as_ref(), self.watched);
        };
        let vacant = Box::new(self.context.another());
        let context = std::mem::replace(&mut self.context, vacant);
        let mut pending = Pending::new(self.host.clone(), context, call);
        let poll = |context: &mut Context<'_>| pending.poll(context);
        let answered = poll_for(poll, &self.clock, name, None, self.watched, Some(patience));
        if let Ok(None) = answered {
            return Err(self.put_down(PutDown::Waits(pending)));
        }
        self.context =
            pending.into_context().ok_or_else(|| internal("a call did not give its event's context back"))?;
        answered.map(|answer| answer.expect("what was not answered was seen to above"))
    }

    /// What it means that the run trapped with its counter at `left`, if it means anything.
    pub(crate) fn out_of_fuel(&mut self, left: i64) -> Option<Error> {
        if left >= 0 {
            return None;
        }
        match (self.fuel.check(left), &self.patience) {
            (Err(error), _) => Some(error),
            // A run that may not take long has only a part of its fuel.
            (Ok(()), Patience::Inline { .. }) => Some(self.put_down(PutDown::Long)),
            (Ok(()), _) => None,
        }
    }

    /// Puts the run down. The error ends it, and nobody gets to see it.
    fn put_down(&mut self, why: PutDown) -> Error {
        self.put_down = Some(why);
        internal("a run was put down")
    }
}

/// A run on a worker's thread.
pub(crate) struct OnWorker {
    pub workers: Arc<Workers>,
    pub skill: SkillId,
    /// Whether the watch sees to it that another thread takes this one's place when the run takes long. Otherwise the run
    /// itself does.
    pub watched: bool,
    /// Set from when the run has taken long, where it sees to that itself.
    pub long: Option<Away>,
}

impl OnWorker {
    /// Lets another thread take this one's place while it waits, unless one does already.
    pub(crate) fn wait(&self) -> Waiting {
        let away = match self.watched {
            true => interrupt::with_slot(|slot| slot.wait()),
            false => self.long.is_none().then(|| self.workers.wait(self.skill)),
        };
        Waiting { _away: away, watched: self.watched }
    }
}

/// A wait of a worker's.
pub(crate) struct Waiting {
    _away: Option<Away>,
    watched: bool,
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if self.watched {
            interrupt::with_slot(|slot| slot.go_on());
        }
    }
}

/// How long a run has a worker to itself. Far longer than nearly all events take, and short for those that wait behind.
pub(crate) const LONG: Duration = Duration::from_millis(5);

impl Running {
    /// Lets another thread take this one's place once this run has taken long.
    fn make_room(&mut self) {
        if let Some(OnWorker { workers, skill, watched: false, long: long @ None }) = &mut self.worker
            && self.clock.deadline.elapsed() > LONG
        {
            *long = Some(workers.run_long(*skill));
        }
    }
}

/// Where the host puts what it gives the guest.
pub(crate) enum Allocator {
    /// The guest's own `cis_alloc` or `malloc`.
    Guest(TypedFunction<i32, i32>),
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

impl Guest {
    pub(crate) fn parts(&self) -> Result<&Parts, Error> {
        self.parts.as_ref().ok_or_else(|| internal("guest code ran before its instance was complete"))
    }

    pub(crate) fn parts_mut(&mut self) -> Result<&mut Parts, Error> {
        self.parts.as_mut().ok_or_else(|| internal("guest code ran before its instance was complete"))
    }

    pub(crate) fn running(&mut self) -> Result<&mut Running, Error> {
        self.running.as_mut().ok_or_else(|| internal("guest code ran outside of any event"))
    }
}

pub(crate) fn internal(message: &str) -> Error {
    ErrorKind::Internal { message: message.into() }.into()
}

/// Finds room in the guest for `len` bytes. May run guest code, and may grow memory.
pub(crate) fn allocate(env: &mut FunctionEnvMut<'_, Guest>, len: u32) -> Result<u32, Error> {
    match &env.data().parts()?.allocator {
        Allocator::Guest(alloc) => {
            let alloc = alloc.clone();
            let imports = env.data().imports;
            env.data_mut().running()?.allocating = true;
            let called = alloc.call(env, len as i32);
            env.data_mut().running()?.allocating = false;
            let ptr = called.map_err(|error| trap::classify(error, imports))? as u32;
            if unwired(Limit::Allocator) {
                return Ok(ptr);
            }
            if ptr == 0 {
                let what = format!("gave no memory for {len} bytes");
                return Err(ErrorKind::BadAllocation { what }.into());
            }
            let size = env.data().parts()?.memory.len();
            if (Region { ptr, len }).within(size).is_none() {
                let what = format!("gave {len} bytes at {ptr:#x}, outside of its memory of {size} bytes");
                return Err(ErrorKind::BadAllocation { what }.into());
            }
            Ok(ptr)
        }
        Allocator::Arena(_) => {
            if let Some(ptr) = arena(env)?.place(len.into()) {
                return Ok(ptr as u32);
            }
            let limit = env.data().memory_cap;
            let memory = &env.data().parts()?.memory;
            let (size, handle) = (memory.len(), memory.handle());
            let pages = arena(env)?.missing(len.into(), size).div_ceil(WASM_PAGE_SIZE as u64);
            let wanted = size + pages * WASM_PAGE_SIZE as u64;
            let grown = u32::try_from(pages)
                .ok()
                .filter(|_| wanted <= limit || unwired(Limit::Memory))
                .and_then(|pages| memory::grow(&handle, env, pages));
            let begin = grown.ok_or(ErrorKind::OutOfMemory { wanted, limit })?;
            let end = env.data().parts()?.memory.len();
            let arena = arena(env)?;
            arena.add(begin, end);
            let ptr = arena.place(len.into()).ok_or_else(|| internal("the arena grew and has no room"))?;
            Ok(ptr as u32)
        }
    }
}

fn arena<'e>(env: &'e mut FunctionEnvMut<'_, Guest>) -> Result<&'e mut Arena, Error> {
    match env.data_mut().parts.as_mut().map(|parts| &mut parts.allocator) {
        Some(Allocator::Arena(arena)) => Ok(arena),
        _ => Err(internal("the guest's allocator changed")),
    }
}

/// Puts bytes into the guest. They are never at pointer 0, also when there are none.
pub(crate) fn give(env: &mut FunctionEnvMut<'_, Guest>, bytes: &[u8]) -> Result<Region, Error> {
    debug_assert!(bytes.len() <= ceilings::EVENT_DATA.max(ceilings::RESPONSE));
    let len = u32::try_from(bytes.len()).map_err(|_| internal("more than 4 GiB for a guest"))?;
    let ptr = allocate(env, len.max(1))?;
    env.data_mut().parts_mut()?.memory.write("the guest's allocator", ptr, bytes)?;
    Ok(Region { ptr, len })
}

/// A region as a packed result.
pub(crate) fn packed(region: Region) -> Result<Packed, Error> {
    Packed::bytes(region.ptr, region.len).ok_or_else(|| internal("bytes were put at pointer 0"))
}

/// Gives the guest its next slice of fuel.
pub(crate) fn refuel(env: &mut FunctionEnvMut<'_, Guest>) -> Result<(), Error> {
    let counter = env.data().parts()?.fuel;
    let running = env.data_mut().running()?;
    // First, because a run that was stopped has an empty counter.
    running.clock.check()?;
    let slice = running.fuel.next_slice(counter.get())?;
    if matches!(running.patience, Patience::Inline { .. }) {
        return Err(running.put_down(PutDown::Long));
    }
    running.make_room();
    counter.set(slice);
    Ok(())
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
