//! What guests of the peers keep: a map behind a lock, as ours is.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard};

use bytes::Bytes;

use super::PROFILE;

/// Values by key.
pub(super) struct Memory {
    values: Mutex<HashMap<String, Bytes>>,
}

impl Memory {
    /// With what the workloads expect to be there.
    pub(super) fn new() -> Self {
        let (key, value) = PROFILE;
        Memory { values: Mutex::new(HashMap::from([(key.to_owned(), Bytes::copy_from_slice(&value))])) }
    }

    pub(super) fn get(&self, key: &str) -> Option<Bytes> {
        self.values().get(key).cloned()
    }

    pub(super) fn set(&self, key: &str, value: &[u8]) {
        let value = Bytes::copy_from_slice(value);
        let mut values = self.values();
        match values.get_mut(key) {
            Some(old) => *old = value,
            None => drop(values.insert(key.to_owned(), value)),
        }
    }

    fn values(&self) -> MutexGuard<'_, HashMap<String, Bytes>> {
        self.values.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}
