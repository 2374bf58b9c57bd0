//! References to one thing, counted apart for each processor.
//!
//! An `Arc` that all threads clone and drop for every event is one cache line that they take from each other. Here a thread
//! counts on its processor's own, and the thing goes when the last of all counts has.

use std::ops::Deref;
use std::sync::Arc;

use crate::processor::{self, Apart};

/// One thing, to be shared out.
pub(crate) struct Shares<T> {
    parts: Box<[Arc<Apart<Arc<T>>>]>,
}

/// A reference to it.
pub(crate) struct Share<T>(Arc<Apart<Arc<T>>>);

impl<T> Shares<T> {
    pub(crate) fn new(thing: &Arc<T>) -> Self {
        Shares { parts: (0..processor::parts()).map(|_| Arc::new(Apart(thing.clone()))).collect() }
    }

    /// A reference that is cheapest to count here.
    pub(crate) fn share(&self) -> Share<T> {
        Share(self.parts[processor::number() % self.parts.len()].clone())
    }
}

impl<T> Deref for Share<T> {
    type Target = Arc<T>;

    fn deref(&self) -> &Arc<T> {
        &self.0.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_goes_with_the_last_share() {
        let thing = Arc::new(7);
        let (shares, known) = (Shares::new(&thing), Arc::downgrade(&thing));
        drop(thing);
        let (one, other) = (shares.share(), shares.share());
        drop(shares);
        drop(one);
        assert_eq!(known.upgrade().as_deref(), Some(&7));
        assert_eq!(**other, 7);
        drop(other);
        assert_eq!(known.upgrade(), None);
    }
}
