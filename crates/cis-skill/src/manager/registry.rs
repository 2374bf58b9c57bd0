//! Which name is whose.
//!
//! Invariant: a name belongs to at most one skill, from before its skill is loaded until after it has gone.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard};

use cis_wasm_host::SkillName;

use super::slot::Slot;
use crate::suggest::nearest;
use crate::{Error, ErrorKind, Result};

#[derive(Default)]
pub(super) struct Registry {
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    skills: BTreeMap<SkillName, Arc<Slot>>,
    /// Names whose skill is being loaded.
    reserved: BTreeSet<SkillName>,
    closed: bool,
}

/// A name kept for a skill that is being loaded. Dropping it gives the name back.
pub(super) struct Reservation<'r> {
    registry: &'r Registry,
    name: SkillName,
}

impl Registry {
    pub(super) fn reserve(&self, name: SkillName) -> Result<Reservation<'_>> {
        let mut inner = self.inner();
        if inner.closed {
            return Err(ErrorKind::ShutDown.into());
        }
        if inner.skills.contains_key(&name) || !inner.reserved.insert(name.clone()) {
            return Err(ErrorKind::NameTaken { skill: name }.into());
        }
        drop(inner);
        Ok(Reservation { registry: self, name })
    }

    pub(super) fn find(&self, name: &str) -> Result<Arc<Slot>> {
        let inner = self.inner();
        // A text that is no name is nobody's.
        let slot = name.parse().ok().and_then(|name: SkillName| inner.skills.get(&name).cloned());
        slot.ok_or_else(|| {
            if inner.closed {
                return ErrorKind::ShutDown.into();
            }
            let nearest = nearest(name, inner.skills.keys().map(SkillName::as_str));
            let nearest = nearest.and_then(|nearest| nearest.parse().ok());
            Error::from(ErrorKind::UnknownSkill { name: name.chars().take(128).collect(), nearest })
        })
    }

    /// All skills, in order of their names.
    pub(super) fn all(&self) -> Vec<(SkillName, Arc<Slot>)> {
        self.inner().skills.iter().map(|(name, slot)| (name.clone(), slot.clone())).collect()
    }

    /// Takes a skill out, unless another has its name by now.
    pub(super) fn remove(&self, name: &SkillName, slot: &Arc<Slot>) {
        let mut inner = self.inner();
        if inner.skills.get(name).is_some_and(|current| Arc::ptr_eq(current, slot)) {
            inner.skills.remove(name);
        }
    }

    /// Lets no more skills in.
    pub(super) fn close(&self) {
        self.inner().closed = true;
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        // Nothing panics while it holds the lock, and each change is whole by itself.
        self.inner.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

impl Drop for Registry {
    /// Nobody can resume a paused skill of a manager that is gone: its queued events are given back.
    fn drop(&mut self) {
        for slot in self.inner().skills.values() {
            slot.give_back_queue();
        }
    }
}

impl Reservation<'_> {
    pub(super) fn name(&self) -> &SkillName {
        &self.name
    }

    /// Puts the loaded skill under the name. `false` when the manager was shut down meanwhile.
    pub(super) fn fill(self, slot: Slot) -> bool {
        let mut inner = self.registry.inner();
        if inner.closed {
            return false;
        }
        inner.skills.insert(self.name.clone(), Arc::new(slot));
        true
    }
}

impl Drop for Reservation<'_> {
    fn drop(&mut self) {
        self.registry.inner().reserved.remove(&self.name);
    }
}
