//! Strings: borrowed where they stand, unless something in them is escaped.

use alloc_crate::borrow::Cow;
use alloc_crate::string::String;
use alloc_crate::vec::Vec;

use super::problem::Problem;

/// The string at the start of `bytes`, which is behind the opening quote, and its length up to behind the closing one.
pub(super) fn string(bytes: &[u8]) -> Result<(Cow<'_, str>, usize), Problem> {
    let mut unescaped = Vec::new();
    let (mut start, mut at) = (0, 0);
    loop {
        match bytes.get(at) {
            None => return Err(Problem::new("the string does not end")),
            Some(b'"') => {
                let piece = bytes.get(start..at).unwrap_or_default();
                let not_utf8 = Problem::new("the string is not UTF-8");
                if start == 0 {
                    let text = str::from_utf8(piece).map_err(|_| not_utf8)?;
                    return Ok((Cow::Borrowed(text), at + 1));
                }
                unescaped.extend_from_slice(piece);
                let text = String::from_utf8(unescaped).map_err(|_| not_utf8)?;
                return Ok((Cow::Owned(text), at + 1));
            }
            Some(b'\\') => {
                unescaped.extend_from_slice(bytes.get(start..at).unwrap_or_default());
                let (letter, len) = escape(bytes.get(at + 1..).unwrap_or_default())?;
                unescaped.extend_from_slice(letter.encode_utf8(&mut [0; 4]).as_bytes());
                at += 1 + len;
                start = at;
            }
            Some(..b' ') => return Err(Problem::new("a control character in a string is not escaped")),
            Some(_) => at += 1,
        }
    }
}

/// The character behind a backslash, and the length of what stands for it.
fn escape(bytes: &[u8]) -> Result<(char, usize), Problem> {
    let letter = match bytes.first() {
        Some(b'b') => '\u{8}',
        Some(b'f') => '\u{c}',
        Some(b'n') => '\n',
        Some(b'r') => '\r',
        Some(b't') => '\t',
        Some(plain @ (b'"' | b'\\' | b'/')) => char::from(*plain),
        Some(b'u') => return unicode(bytes).ok_or(Problem::new("`\\u` without the four digits of a character")),
        _ => return Err(Problem::new("an escape that JSON does not have")),
    };
    Ok((letter, 1))
}

/// The character of `uXXXX`, or of a surrogate pair `uXXXX\uXXXX`.
fn unicode(bytes: &[u8]) -> Option<(char, usize)> {
    let high = unit(bytes)?;
    if !(0xD800..0xDC00).contains(&high) {
        // A low surrogate alone is no character either.
        return Some((char::from_u32(high)?, 5));
    }
    let low = unit(bytes.get(5..)?.strip_prefix(b"\\")?)?;
    let low = low.checked_sub(0xDC00).filter(|low| *low < 0x400)?;
    Some((char::from_u32(0x1_0000 + ((high - 0xD800) << 10) + low)?, 11))
}

fn unit(bytes: &[u8]) -> Option<u32> {
    let digits = bytes.strip_prefix(b"u")?.first_chunk::<4>()?;
    digits.iter().try_fold(0, |unit, digit| Some(unit << 4 | char::from(*digit).to_digit(16)?))
}
