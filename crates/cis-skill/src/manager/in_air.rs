//! The durable events that this process is at.
//!
//! Invariants:
//! - An event is in the air once at a time.
//! - It is counted at most once in a process, because a process ends once.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use cis_wasm_host::{EventId, JournalStore};
use cis_wasm_runtime::WasmRuntime;
use futures_channel::oneshot;
use futures_util::future::select;
use futures_util::lock::{Mutex as AsyncMutex, MutexGuard as AsyncGuard};

use super::durable::not_kept;
use crate::Result;

/// All of them.
#[derive(Debug, Default)]
pub(super) struct InAir {
    inner: Mutex<Inside>,
    /// Held by the one event that runs of those that were resumed before.
    suspected: AsyncMutex<()>,
}

#[derive(Debug, Default)]
struct Inside {
    events: BTreeSet<EventId>,
    /// Those that this process has counted, also when they are no longer in the air.
    counted: BTreeSet<EventId>,
    /// Set when the manager shuts down.
    closing: bool,
    /// Dropped then.
    resting: Vec<oneshot::Sender<()>>,
    waiting: Vec<oneshot::Sender<()>>,
}

/// One of them. Dropped when the process is done with it.
pub(super) struct Flying {
    all: Arc<InAir>,
    id: EventId,
}

impl InAir {
    /// `None` when the event is in the air already.
    pub(super) fn begin(self: &Arc<Self>, id: EventId) -> Option<Flying> {
        self.inner().events.insert(id).then(|| Flying { all: self.clone(), id })
    }

    /// How often an event was resumed by earlier processes, when the store says how often it was.
    pub(super) fn before(&self, id: EventId, resumed: u32) -> u32 {
        resumed.saturating_sub(u32::from(self.inner().counted.contains(&id)))
    }

    /// Forgets that an event was counted.
    pub(super) fn forget(&self, id: EventId) {
        self.inner().counted.remove(&id);
    }

    /// The turn of an event that was resumed before.
    pub(super) async fn alone(&self) -> AsyncGuard<'_, ()> {
        self.suspected.lock().await
    }

    /// Lets so much time pass before an event is tried again, or less when the manager shuts down.
    pub(super) async fn rest(&self, runtime: &WasmRuntime, time: Duration) {
        let closing = {
            let mut inner = self.inner();
            if inner.closing {
                return;
            }
            let (sender, closing) = oneshot::channel();
            inner.resting.retain(|resting| !resting.is_canceled());
            inner.resting.push(sender);
            closing
        };
        select(Box::pin(runtime.sleep(time)), closing).await;
    }

    /// Lets events rest no longer.
    pub(super) fn close(&self) {
        let mut inner = self.inner();
        inner.closing = true;
        inner.resting.clear();
    }

    pub(super) fn is_closing(&self) -> bool {
        self.inner().closing
    }

    /// Waits until there is none.
    pub(super) async fn clear(&self) {
        let landed = {
            let mut inner = self.inner();
            if inner.events.is_empty() {
                return;
            }
            let (sender, landed) = oneshot::channel();
            inner.waiting.push(sender);
            landed
        };
        // The sender is kept until it has sent.
        let _ = landed.await;
    }

    fn inner(&self) -> MutexGuard<'_, Inside> {
        // Nothing panics while it holds the lock.
        self.inner.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

impl Flying {
    pub(super) fn all(&self) -> &Arc<InAir> {
        &self.all
    }

    /// Counts that this process resumes the event.
    pub(super) async fn count(&self, store: &Arc<dyn JournalStore>, times: u32) -> Result<()> {
        if !self.all.inner().counted.contains(&self.id) {
            store.resumed(self.id, times).await.map_err(not_kept)?;
            self.all.inner().counted.insert(self.id);
        }
        Ok(())
    }
}

impl Drop for Flying {
    fn drop(&mut self) {
        let mut inner = self.all.inner();
        inner.events.remove(&self.id);
        if inner.events.is_empty() {
            for waiting in inner.waiting.drain(..) {
                // Whoever stopped waiting needs no word.
                let _ = waiting.send(());
            }
        }
    }
}
