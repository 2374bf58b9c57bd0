//! The list of keys that `host_memory_list` answers.
//!
//! Entries stand back to back; each is a length (u32, little endian) and that many bytes of UTF-8. There is no count:
//! the list ends where its bytes end.

/// Reads a key list, key by key.
///
/// ```
/// use cis_wasm_abi::{Keys, write_key_entry};
///
/// let mut list = [0; 64];
/// let mut end = 0;
/// for key in ["a", "note/1"] {
///     end += write_key_entry(key, &mut list[end..]).unwrap();
/// }
/// let keys = Keys::new(&list[..end]);
/// assert!(keys.eq([Ok("a"), Ok("note/1")]));
/// ```
#[derive(Clone, Debug)]
pub struct Keys<'a> {
    rest: &'a [u8],
}

/// What is wrong with a key list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeysError {
    /// A key is not UTF-8.
    NotUtf8,
    /// An entry says it is longer than what is left.
    Truncated,
}

impl<'a> Keys<'a> {
    /// Reads the list in `bytes`.
    pub const fn new(bytes: &'a [u8]) -> Self {
        Keys { rest: bytes }
    }
}

impl<'a> Iterator for Keys<'a> {
    type Item = Result<&'a str, KeysError>;

    /// The next key. After an error there are no more.
    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let rest = core::mem::take(&mut self.rest);
        let Some((len, rest)) = rest.split_first_chunk::<4>() else { return Some(Err(KeysError::Truncated)) };
        let len = u32::from_le_bytes(*len) as usize;
        let Some((key, rest)) = rest.split_at_checked(len) else { return Some(Err(KeysError::Truncated)) };
        let Ok(key) = core::str::from_utf8(key) else { return Some(Err(KeysError::NotUtf8)) };
        self.rest = rest;
        Some(Ok(key))
    }
}

/// How many bytes the entry of `key` takes.
pub const fn key_entry_len(key: &str) -> usize {
    4 + key.len()
}

/// Writes the entry of `key` to the front of `out` and says how long it is, or `None` when it does not fit.
pub fn write_key_entry(key: &str, out: &mut [u8]) -> Option<usize> {
    let len = u32::try_from(key.len()).ok()?;
    let out = out.get_mut(..key_entry_len(key))?;
    let (head, body) = out.split_first_chunk_mut::<4>()?;
    *head = len.to_le_bytes();
    body.copy_from_slice(key.as_bytes());
    Some(key_entry_len(key))
}
