//! Memory that lasts as long as the process.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{Mutex, MutexGuard};

use async_trait::async_trait;
use bytes::Bytes;
use cis_wasm_abi::key_entry_len;

use crate::{BackendError, BackendErrorKind, ImmediateMemory, MemoryBackend, Namespace, Quota};

/// A [`MemoryBackend`] in the process's own memory, for tests and for hosts that need nothing to last.
#[derive(Debug, Default)]
pub struct InMemory {
    spaces: Mutex<BTreeMap<Namespace, Space>>,
}

#[derive(Debug, Default)]
struct Space {
    values: BTreeMap<String, Bytes>,
    /// Bytes of all keys and values.
    bytes: u64,
}

impl InMemory {
    /// An empty memory.
    pub fn new() -> Self {
        InMemory::default()
    }

    fn spaces(&self) -> MutexGuard<'_, BTreeMap<Namespace, Space>> {
        // No code of ours panics while it holds the lock, and a map is whole after any single operation.
        self.spaces.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

impl ImmediateMemory for InMemory {
    fn get_now(&self, namespace: &Namespace, key: &str) -> Result<Option<Bytes>, BackendError> {
        Ok(self.spaces().get(namespace).and_then(|space| space.values.get(key).cloned()))
    }

    fn set_now(&self, namespace: &Namespace, key: &str, value: Bytes, quota: Quota) -> Result<(), BackendError> {
        let mut spaces = self.spaces();
        let space = match spaces.get_mut(namespace) {
            Some(space) => space,
            None => spaces.entry(namespace.clone()).or_default(),
        };
        let keys = space.values.len() as u64;
        let new = (key.len() + value.len()) as u64;
        let old_value = match space.values.get_mut(key) {
            Some(old) => {
                let bytes = space.bytes - (key.len() + old.len()) as u64 + new;
                quota.admit(namespace, keys, bytes)?;
                space.bytes = bytes;
                Some(std::mem::replace(old, value))
            }
            None => {
                quota.admit(namespace, keys + 1, space.bytes + new)?;
                space.bytes += new;
                space.values.insert(key.to_owned(), value)
            }
        };
        // A long value takes its time to be dropped: not under the lock.
        drop(spaces);
        drop(old_value);
        Ok(())
    }

    fn delete_now(&self, namespace: &Namespace, key: &str) -> Result<bool, BackendError> {
        let mut spaces = self.spaces();
        let Some(space) = spaces.get_mut(namespace) else { return Ok(false) };
        let Some(value) = space.values.remove(key) else { return Ok(false) };
        space.bytes -= (key.len() + value.len()) as u64;
        Ok(true)
    }
}

#[async_trait]
impl MemoryBackend for InMemory {
    fn immediate(&self) -> Option<&dyn ImmediateMemory> {
        Some(self)
    }

    async fn get(&self, namespace: &Namespace, key: &str) -> Result<Option<Bytes>, BackendError> {
        self.get_now(namespace, key)
    }

    async fn set(&self, namespace: &Namespace, key: &str, value: Bytes, quota: Quota) -> Result<(), BackendError> {
        self.set_now(namespace, key, value, quota)
    }

    async fn delete(&self, namespace: &Namespace, key: &str) -> Result<bool, BackendError> {
        self.delete_now(namespace, key)
    }

    async fn list(&self, namespace: &Namespace, prefix: &str, max_bytes: usize) -> Result<Vec<String>, BackendError> {
        let spaces = self.spaces();
        let Some(space) = spaces.get(namespace) else { return Ok(Vec::new()) };
        let mut keys = Vec::new();
        let mut bytes = 0;
        let from = (Bound::Included(prefix), Bound::Unbounded);
        for (key, _) in space.values.range::<str, _>(from).take_while(|(key, _)| key.starts_with(prefix)) {
            bytes += key_entry_len(key);
            if bytes > max_bytes {
                let why = format!("the keys below `{prefix}` take more than {max_bytes} bytes");
                return Err(BackendError::new(BackendErrorKind::TooLarge, why));
            }
            keys.push(key.clone());
        }
        Ok(keys)
    }
}
