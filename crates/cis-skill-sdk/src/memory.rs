//! What a skill remembers.

use alloc_crate::string::String;
use alloc_crate::vec::Vec;

use cis_wasm_abi::{Keys, Status};

use crate::{Call, Error, door};

/// The skill's memory, which outlives its events.
///
/// A key is UTF-8, 1 to [`ceilings::KEY`](crate::ceilings::KEY) bytes, in the skill's own namespace. `@team/plan` is the
/// key `plan` of the shared namespace `team`, for a skill whose manifest names that namespace.
///
/// Every function fails with [`Status::Denied`] when the manifest does not grant it, with [`Status::InvalidArgument`] for
/// a key that is empty or names no proper namespace, with [`Status::TooLarge`] for one that is too long, and with
/// [`Status::BackendFailed`] or [`Status::TimedOut`] when the host's store does.
pub struct Memory;

impl Memory {
    /// The value of a key, or `None` when there is no such key.
    ///
    /// # Errors
    ///
    /// See [`Memory`].
    pub fn get(key: &str) -> Result<Option<Vec<u8>>, Error> {
        door::memory_get(key)
    }

    /// The value of a key as text, or `None` when there is no such key.
    ///
    /// # Errors
    ///
    /// See [`Memory`]; and [`Error::failed`] when the value is not UTF-8.
    pub fn text(key: &str) -> Result<Option<String>, Error> {
        let Some(value) = Memory::get(key)? else { return Ok(None) };
        String::from_utf8(value).map(Some).map_err(|_| Error::failed("a value in memory is not UTF-8"))
    }

    /// Stores a value under a key.
    ///
    /// # Errors
    ///
    /// See [`Memory`]; and [`Status::TooLarge`] for a value above [`ceilings::VALUE`](crate::ceilings::VALUE) bytes,
    /// [`Status::QuotaExceeded`] when the skill has stored as much as it may. The old value stays then.
    pub fn set(key: &str, value: impl AsRef<[u8]>) -> Result<(), Error> {
        door::memory_set(key, value.as_ref())
    }

    /// Deletes a key and says whether it was there.
    ///
    /// # Errors
    ///
    /// See [`Memory`].
    pub fn delete(key: &str) -> Result<bool, Error> {
        door::memory_delete(key)
    }

    /// The keys that begin with `prefix`, in order of their bytes. `@team/` lists a shared namespace.
    ///
    /// # Errors
    ///
    /// See [`Memory`]; and [`Status::TooLarge`] when the keys do not fit one list: ask for a longer prefix.
    pub fn list(prefix: &str) -> Result<KeyList, Error> {
        let bytes = door::memory_list(prefix)?;
        if Keys::new(&bytes).any(|key| key.is_err()) {
            return Err(Error::Host { call: Call::MemoryList, code: Status::BackendFailed.code() });
        }
        Ok(KeyList { bytes })
    }

    /// The value of a key, read as JSON, or `None` when there is no such key.
    ///
    /// # Errors
    ///
    /// See [`Memory`]; and [`Error::failed`] when the value is not the JSON of a `T`.
    #[cfg(feature = "json")]
    pub fn json<T: serde::de::DeserializeOwned>(key: &str) -> Result<Option<T>, Error> {
        let Some(value) = Memory::get(key)? else { return Ok(None) };
        crate::json::read(&value, key).map(Some).map_err(Error::failed)
    }

    /// Stores a value under a key, as JSON.
    ///
    /// # Errors
    ///
    /// As [`Memory::set`]; and [`Error::failed`] when the value has no form in JSON.
    #[cfg(feature = "json")]
    pub fn set_json<T: serde::Serialize + ?Sized>(key: &str, value: &T) -> Result<(), Error> {
        Memory::set(key, crate::json::write(value)?)
    }
}

/// A list of keys, in the one block of memory that the host wrote it to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyList {
    /// Whole and UTF-8 throughout: [`Memory::list`] looked.
    bytes: Vec<u8>,
}

impl KeyList {
    /// The keys, in order.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        Keys::new(&self.bytes).map_while(Result::ok)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }
}
