//! Numbers and lengths of the journal's format.
//!
//! Invariant: nothing is allocated for a length before that many bytes were seen to be there.

use bytes::Bytes;

use super::JournalError;

/// Appends a number: seven bits a byte, the lowest first, the top bit set on all bytes but the last.
pub(super) fn put_number(out: &mut Vec<u8>, mut number: u64) {
    while number > 0x7F {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

/// Appends bytes behind their length.
pub(super) fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_number(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// What is left to read, and where it lies.
pub(super) struct Reader<'b> {
    rest: &'b mut Bytes,
    total: usize,
}

impl<'b> Reader<'b> {
    pub(super) fn new(rest: &'b mut Bytes) -> Self {
        let total = rest.len();
        Reader { rest, total }
    }

    pub(super) fn is_at_end(&self) -> bool {
        self.rest.is_empty()
    }

    /// An error at the byte that was read last, or that is missing.
    pub(super) fn wrong(&self, what: &'static str) -> JournalError {
        JournalError::Malformed { at: self.total - self.rest.len(), what }
    }

    pub(super) fn take(&mut self, len: u64) -> Result<Bytes, JournalError> {
        match usize::try_from(len) {
            Ok(len) if len <= self.rest.len() => Ok(self.rest.split_to(len)),
            _ => Err(self.wrong("a length reaches beyond the end")),
        }
    }

    pub(super) fn byte(&mut self) -> Result<u8, JournalError> {
        Ok(self.take(1)?[0])
    }

    pub(super) fn number(&mut self) -> Result<u64, JournalError> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7F);
            if bits << shift >> shift != bits {
                break;
            }
            number |= bits << shift;
            if byte & 0x80 == 0 {
                return Ok(number);
            }
        }
        Err(self.wrong("a number has more than 64 bits"))
    }

    pub(super) fn bytes(&mut self) -> Result<Bytes, JournalError> {
        let len = self.number()?;
        self.take(len)
    }

    pub(super) fn text(&mut self) -> Result<String, JournalError> {
        let bytes = self.bytes()?;
        String::from_utf8(bytes.into()).map_err(|_| self.wrong("a text is not UTF-8"))
    }
}
