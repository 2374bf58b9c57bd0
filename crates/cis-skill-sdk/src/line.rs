//! A text on the stack, for what is said to the host without allocating: log lines and the last words of a panic.

use core::fmt::{self, Write};

use cis_wasm_abi::ceilings::LOG_LINE;

/// A text of at most [`LOG_LINE`] bytes. A longer one is cut at a character's edge, as the host would.
///
/// Nothing in it panics or allocates: a panic may be about memory that ran out.
pub(crate) struct Line {
    bytes: [u8; LOG_LINE],
    /// The first `len` bytes are whole characters.
    len: usize,
    /// How many more bytes it takes. After a cut none, even if what follows would fit.
    free: usize,
}

impl Line {
    pub(crate) const fn new() -> Self {
        Line { bytes: [0; LOG_LINE], len: 0, free: LOG_LINE }
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }

    pub(crate) fn push(&mut self, text: &str) {
        let mut fits = text.len().min(self.free);
        while !text.is_char_boundary(fits) {
            fits -= 1;
        }
        for (to, from) in self.bytes.iter_mut().skip(self.len).zip(text.bytes().take(fits)) {
            *to = from;
        }
        self.len += fits;
        self.free = if fits < text.len() { 0 } else { self.free - fits };
    }
}

impl Write for Line {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.push(text);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc_crate::format;

    #[test]
    fn a_long_text_is_cut_at_a_character() {
        let mut line = Line::new();
        let number = 12;
        write!(line, "at {number}:x").unwrap();
        assert_eq!(line.as_bytes(), b"at 12:x");
        for _ in 0..LOG_LINE {
            line.push("né");
        }
        line.push("!");
        // 7 bytes, then as many times three as fit, then one character of the next pair.
        let pairs = "né".repeat((LOG_LINE - 7) / 3);
        let text = str::from_utf8(line.as_bytes()).unwrap();
        assert_eq!((LOG_LINE - 7) % 3, 1);
        assert_eq!(text, format!("at 12:x{pairs}n"));
    }
}
