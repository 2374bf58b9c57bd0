//! Runs that were suspended, as bytes.
//!
//! An event that waits is put down and run again from its start when it goes on. Where that would cost more than it is worth,
//! what its run had come to is kept instead, as a [`Checkpoint`]: what it had written of its instance's memory, the globals,
//! the stack of its [`Fiber`](crate::fiber::Fiber). The instance is set back and serves other events meanwhile; when the call
//! is answered, all of it is put back into the same instance, and the run goes on where it was.
//!
//! Invariants:
//! - **The total stays at twice the work and an allowance beyond ([`ALLOWANCE`]).** An event is run again from its start as long as all that
//!   was repeated is no more than the allowance; from then on its runs can be suspended ([`Repeats`]). So what is repeated
//!   is the allowance and at the most once the event's own work; and once what may be done on a thread that is not ours, since a
//!   run that goes on there and takes long goes back to its checkpoint, and none of that event does so again.
//! - A checkpoint is a means and never needed: the event's journal is there too. Where the checkpoint is gone (given up for its
//!   bytes, with the runtime's idle instances, with its own instance) or its instance does not become free, the event is run
//!   again.
//! - The bytes of all checkpoints of a runtime are bounded.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use cis_wasm_host::{CallContext, HostError, HostReply};
use wasmer::sys::vm::VMGlobalDefinition;

use crate::clock::Fuel;
use crate::fiber::Suspended;
use crate::reset::Written;
use crate::room::Arena;

/// How much fuel an event may have used for nothing before its runs are made to be suspended, where nobody said otherwise:
/// some tens of microseconds of work. Repeating that costs about what a checkpoint does, and takes no bytes.
pub(crate) const ALLOWANCE: u64 = 100_000;

/// The most bytes of one checkpoint: what takes longer to copy than most events to run.
pub(crate) const MOST_BYTES: usize = 4 << 20;

/// The most bytes of a checkpoint that is put back on a thread that is not ours: they are copied four times until the run is
/// put down again, in a small part of the time that it has there.
const MOST_BYTES_INLINE: u64 = 64 << 10;

/// How often an event comes back for its instance when that is not free. It mostly is very soon.
pub(crate) const TRIES: u8 = 6;

/// What an event's runs came to that were put down.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Repeats {
    /// Fuel of all that were run for nothing.
    fuel: u64,
    /// Fuel of the last one.
    last: u64,
    /// Whether one that went on took long on a thread that was not ours, and had to go back.
    went_back: bool,
}

impl Repeats {
    /// A run was put down that had used so much, and its event is run again from its start.
    pub(crate) fn one_more(self, fuel: u64) -> Self {
        Repeats { fuel: self.fuel.saturating_add(fuel), last: fuel, ..self }
    }

    /// Fuel of the last one.
    pub(crate) fn last(self) -> u64 {
        self.last
    }

    /// A run that went on had to go back to where it had.
    pub(crate) fn back(self) -> Self {
        Repeats { went_back: true, ..self }
    }

    /// Whether one did.
    pub(crate) fn went_back(self) -> bool {
        self.went_back
    }

    /// Whether the next run is to be one that can be suspended. It comes at least to where the last one did.
    pub(crate) fn are_enough(self, allowance: u64) -> bool {
        self.fuel.saturating_add(self.last) > allowance
    }
}

/// What it takes to go on with a suspended run whose call was answered.
pub(crate) struct Resumption {
    pub ticket: Ticket,
    pub context: Box<CallContext>,
    pub answer: Result<HostReply, HostError>,
    /// What the run had used, which is repeated when the checkpoint is gone.
    pub fuel: u64,
    /// How often its instance was not free.
    pub tries: u8,
}

impl Resumption {
    /// When its call is answered.
    pub(crate) fn new(
        ticket: Ticket,
        context: Box<CallContext>,
        answer: Result<HostReply, HostError>,
        fuel: u64,
    ) -> Self {
        Resumption { ticket, context, answer, fuel, tries: 0 }
    }

    /// Whether there is little enough to be put back that it can be done on a thread that is not ours.
    pub(crate) fn is_small(&self) -> bool {
        self.ticket.bytes <= MOST_BYTES_INLINE
    }
}

/// A run that was suspended.
pub(crate) struct Checkpoint {
    /// The instance that it is of.
    pub instance: InstanceId,
    pub suspended: Suspended,
    pub stack: Box<[u8]>,
    pub memory: Written,
    pub globals: Box<[VMGlobalDefinition]>,
    pub arena: Option<Arena>,
    pub fuel: Fuel,
    /// Where the counter stood.
    pub left: i64,
}

/// An instance that no other of this process is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct InstanceId(u64);

impl InstanceId {
    pub(crate) fn next() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        InstanceId(NEXT.fetch_add(1, Ordering::Relaxed))
    }
}

impl Checkpoint {
    /// Bytes that it takes, about.
    fn size(&self) -> usize {
        size_of::<Self>() + self.stack.len() + self.memory.size() + size_of_val(&*self.globals)
    }
}

/// The checkpoints of one runtime.
pub(crate) struct Checkpoints {
    /// Fuel of an event's that may be repeated before its runs can be suspended.
    pub allowance: u64,
    most_bytes: u64,
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    next: u64,
    bytes: u64,
    all: HashMap<u64, Checkpoint>,
}

impl Checkpoints {
    /// Room for so many bytes.
    pub(crate) fn new(allowance: u64, most_bytes: u64) -> Arc<Self> {
        Arc::new(Checkpoints { allowance, most_bytes, kept: Mutex::default() })
    }

    /// How many bytes one more may have.
    pub(crate) fn room(&self) -> usize {
        let room = self.most_bytes.saturating_sub(self.kept().bytes);
        usize::try_from(room).unwrap_or(usize::MAX).min(MOST_BYTES)
    }

    /// Bytes of all of them.
    pub(crate) fn bytes(&self) -> u64 {
        self.kept().bytes
    }

    /// Keeps a checkpoint, if there is room.
    pub(crate) fn keep(self: &Arc<Self>, checkpoint: Checkpoint) -> Option<Ticket> {
        let size = checkpoint.size() as u64;
        let mut kept = self.kept();
        if kept.bytes + size > self.most_bytes {
            return None;
        }
        let (number, instance) = (kept.next, checkpoint.instance);
        kept.next += 1;
        kept.bytes += size;
        kept.all.insert(number, checkpoint);
        Some(Ticket { number, instance, bytes: size, of: self.clone() })
    }

    /// Gives up all of them.
    pub(crate) fn release_all(&self) {
        let mut kept = self.kept();
        kept.bytes = 0;
        let all = std::mem::take(&mut kept.all);
        drop(kept);
        drop(all);
    }

    fn take(&self, number: u64) -> Option<Checkpoint> {
        let mut kept = self.kept();
        let checkpoint = kept.all.remove(&number)?;
        kept.bytes -= checkpoint.size() as u64;
        Some(checkpoint)
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        // Nothing panics while it is locked.
        self.kept.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

/// The right to a checkpoint, which goes with it.
pub(crate) struct Ticket {
    number: u64,
    /// The instance that it is of.
    pub instance: InstanceId,
    /// Bytes of the checkpoint.
    bytes: u64,
    of: Arc<Checkpoints>,
}

impl Ticket {
    /// The checkpoint, if it was not given up.
    pub(crate) fn redeem(self) -> Option<Checkpoint> {
        self.of.take(self.number)
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let given_up = self.of.take(self.number);
        drop(given_up);
    }
}
