//! Where a skill's memory lives.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;

use crate::unwired::{Limit, unwired};
use crate::{BackendError, BackendErrorKind, SkillName};

/// What the text of a shared namespace begins with.
const SHARED: &str = "shared/";

/// A space of keys. A skill has its own; others it reaches only where its manifest names them.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Namespace(Arc<str>);

impl Namespace {
    /// A skill's own.
    pub fn of_skill(name: &SkillName) -> Self {
        name.namespace().clone()
    }

    /// One whose text is this.
    pub(crate) fn named(text: String) -> Self {
        Namespace(text.into())
    }

    /// A shared one. Its name follows the rules of a skill's.
    pub fn shared(name: &SkillName) -> Self {
        Namespace::named(format!("{SHARED}{name}"))
    }

    /// The name of a shared one.
    pub(crate) fn shared_name(&self) -> Option<&str> {
        self.0.strip_prefix(SHARED)
    }

    /// A text that is different for every namespace: `skill/NAME` or `shared/NAME`.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What a namespace may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quota {
    /// Keys.
    pub keys: u64,
    /// Bytes of keys and values together.
    pub bytes: u64,
}

impl Quota {
    /// Whether a namespace may hold this much: for backends, inside the step that writes.
    ///
    /// # Errors
    ///
    /// [`BackendErrorKind::QuotaExceeded`], naming the quota.
    pub fn admit(&self, namespace: &Namespace, keys: u64, bytes: u64) -> Result<(), BackendError> {
        let name = namespace.as_str();
        let why = if unwired(Limit::Quota) {
            return Ok(());
        } else if keys > self.keys {
            format!("`{name}` would hold {keys} keys, its quota is {}", self.keys)
        } else if bytes > self.bytes {
            format!("`{name}` would hold {bytes} bytes, its quota is {}", self.bytes)
        } else {
            return Ok(());
        };
        Err(BackendError::new(BackendErrorKind::QuotaExceeded, why))
    }
}

impl Default for Quota {
    /// 10,000 keys, 64 MiB.
    fn default() -> Self {
        Quota { keys: 10_000, bytes: 64 << 20 }
    }
}

/// Keeps values under keys, in namespaces.
///
/// Events of one skill run at the same time, unless it is kept: each call is atomic, a get and the set that follows it are
/// not. A call must not block its thread for long: a poll is not interrupted, and holds the worker it runs on.
///
/// Keys are UTF-8, 1 to [`cis_wasm_abi::ceilings::KEY`] bytes; values at most [`cis_wasm_abi::ceilings::VALUE`] bytes.
#[async_trait]
pub trait MemoryBackend: Send + Sync + 'static {
    /// The same memory as one that never waits, if it is one. Its gets, sets and deletes then go there: they cost an event
    /// far less.
    fn immediate(&self) -> Option<&dyn ImmediateMemory> {
        None
    }

    /// The value of a key, or `None` when there is no such key.
    ///
    /// # Errors
    ///
    /// When the store cannot be read.
    async fn get(&self, namespace: &Namespace, key: &str) -> Result<Option<Bytes>, BackendError>;

    /// Stores a value under a key. Once this returned `Ok`, the value survives what the store promises to survive.
    ///
    /// # Errors
    ///
    /// [`BackendErrorKind::QuotaExceeded`](crate::BackendErrorKind::QuotaExceeded) when the namespace would then hold more
    /// than `quota` (checked and written in one step), and when the store cannot be written. The old value stays then.
    async fn set(&self, namespace: &Namespace, key: &str, value: Bytes, quota: Quota) -> Result<(), BackendError>;

    /// Deletes a key and says whether it was there.
    ///
    /// # Errors
    ///
    /// When the store cannot be written.
    async fn delete(&self, namespace: &Namespace, key: &str) -> Result<bool, BackendError>;

    /// The keys that begin with `prefix`, in order of their bytes.
    ///
    /// # Errors
    ///
    /// [`BackendErrorKind::TooLarge`](crate::BackendErrorKind::TooLarge) when the keys together, each with 4 bytes more,
    /// take more than `max_bytes`, and when the store cannot be read.
    async fn list(&self, namespace: &Namespace, prefix: &str, max_bytes: usize) -> Result<Vec<String>, BackendError>;
}

/// A memory that answers on the spot, because it has all values at hand: see [`MemoryBackend::immediate`].
///
/// A call is made while the guest stands still, on its thread. It must do what the method of the same name of
/// [`MemoryBackend`] does, and wait for nothing but a short lock.
pub trait ImmediateMemory: Send + Sync {
    /// As [`MemoryBackend::get`].
    ///
    /// # Errors
    ///
    /// As there.
    fn get_now(&self, namespace: &Namespace, key: &str) -> Result<Option<Bytes>, BackendError>;

    /// As [`MemoryBackend::set`].
    ///
    /// # Errors
    ///
    /// As there.
    fn set_now(&self, namespace: &Namespace, key: &str, value: Bytes, quota: Quota) -> Result<(), BackendError>;

    /// As [`MemoryBackend::delete`].
    ///
    /// # Errors
    ///
    /// As there.
    fn delete_now(&self, namespace: &Namespace, key: &str) -> Result<bool, BackendError>;
}

#[async_trait]
impl<B: MemoryBackend + ?Sized> MemoryBackend for Arc<B> {
    fn immediate(&self) -> Option<&dyn ImmediateMemory> {
        (**self).immediate()
    }

    async fn get(&self, namespace: &Namespace, key: &str) -> Result<Option<Bytes>, BackendError> {
        (**self).get(namespace, key).await
    }

    async fn set(&self, namespace: &Namespace, key: &str, value: Bytes, quota: Quota) -> Result<(), BackendError> {
        (**self).set(namespace, key, value, quota).await
    }

    async fn delete(&self, namespace: &Namespace, key: &str) -> Result<bool, BackendError> {
        (**self).delete(namespace, key).await
    }

    async fn list(&self, namespace: &Namespace, prefix: &str, max_bytes: usize) -> Result<Vec<String>, BackendError> {
        (**self).list(namespace, prefix, max_bytes).await
    }
}

#[async_trait]
impl<B: MemoryBackend + ?Sized> MemoryBackend for Box<B> {
    fn immediate(&self) -> Option<&dyn ImmediateMemory> {
        (**self).immediate()
    }

    async fn get(&self, namespace: &Namespace, key: &str) -> Result<Option<Bytes>, BackendError> {
        (**self).get(namespace, key).await
    }

    async fn set(&self, namespace: &Namespace, key: &str, value: Bytes, quota: Quota) -> Result<(), BackendError> {
        (**self).set(namespace, key, value, quota).await
    }

    async fn delete(&self, namespace: &Namespace, key: &str) -> Result<bool, BackendError> {
        (**self).delete(namespace, key).await
    }

    async fn list(&self, namespace: &Namespace, prefix: &str, max_bytes: usize) -> Result<Vec<String>, BackendError> {
        (**self).list(namespace, prefix, max_bytes).await
    }
}
