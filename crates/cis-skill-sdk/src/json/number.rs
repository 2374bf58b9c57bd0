//! Numbers, without making each of them floating-point.

use super::problem::Problem;

/// A number as it is written.
pub(super) enum Number<'de> {
    /// A whole number from 0 up.
    Unsigned(u64),
    /// A whole number below 0.
    Negative(i64),
    /// Any other: with a fraction or an exponent, too large for 64 bits, or -0.
    Other(&'de str),
}

/// The number at the start of `bytes`, and its length in bytes.
pub(super) fn number(bytes: &[u8]) -> Result<(Number<'_>, usize), Problem> {
    let negative = bytes.first() == Some(&b'-');
    let whole = usize::from(negative);
    let mut end = digits(bytes, whole)?;
    if bytes.get(whole) == Some(&b'0') && end > whole + 1 {
        return Err(Problem::new("a number with leading zeros"));
    }
    let mut is_whole = true;
    if bytes.get(end) == Some(&b'.') {
        is_whole = false;
        end = digits(bytes, end + 1)?;
    }
    if let Some(b'e' | b'E') = bytes.get(end) {
        is_whole = false;
        let sign = matches!(bytes.get(end + 1), Some(b'+' | b'-'));
        end = digits(bytes, end + 1 + usize::from(sign))?;
    }
    let text = bytes.get(..end).and_then(|bytes| str::from_utf8(bytes).ok()).unwrap_or_default();
    let number = match (is_whole, negative) {
        (true, false) => text.parse().map_or(Number::Other(text), Number::Unsigned),
        // -0 is a number of its own among the floating-point ones only.
        (true, true) if text != "-0" => text.parse().map_or(Number::Other(text), Number::Negative),
        _ => Number::Other(text),
    };
    Ok((number, end))
}

/// Where the digits end that begin at `start`. There is at least one.
fn digits(bytes: &[u8], start: usize) -> Result<usize, Problem> {
    let mut end = start;
    while bytes.get(end).is_some_and(u8::is_ascii_digit) {
        end += 1;
    }
    if end == start { Err(Problem::new("a number without digits")) } else { Ok(end) }
}
