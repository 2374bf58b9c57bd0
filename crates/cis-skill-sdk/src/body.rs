//! Bytes that leave the skill, from whatever a handler has.

use alloc_crate::string::String;
use alloc_crate::vec::Vec;

/// What [`Response::bytes`](crate::Response::bytes) takes: bytes, owned or borrowed.
///
/// Not `Into<Vec<u8>>`, which copies with the standard library's error for memory that ran out: three kilobytes of
/// formatting, where the smallest skills have six in all.
pub trait IntoBytes {
    /// The bytes.
    fn into_bytes(self) -> Vec<u8>;
}

/// What [`Response::text`](crate::Response::text) takes: text, owned or borrowed, and whole numbers.
pub trait IntoText {
    /// The text, as UTF-8.
    fn into_text(self) -> Vec<u8>;
}

impl IntoBytes for Vec<u8> {
    fn into_bytes(self) -> Vec<u8> {
        self
    }
}

impl IntoBytes for &[u8] {
    fn into_bytes(self) -> Vec<u8> {
        copied(self)
    }
}

impl<const N: usize> IntoBytes for [u8; N] {
    fn into_bytes(self) -> Vec<u8> {
        copied(&self)
    }
}

impl<const N: usize> IntoBytes for &[u8; N] {
    fn into_bytes(self) -> Vec<u8> {
        copied(self)
    }
}

impl IntoText for String {
    fn into_text(self) -> Vec<u8> {
        self.into_bytes()
    }
}

impl IntoText for &str {
    fn into_text(self) -> Vec<u8> {
        copied(self.as_bytes())
    }
}

macro_rules! whole_numbers {
    ($($number:ty, |$value:ident| $negative:expr, $magnitude:expr;)*) => {$(
        impl IntoText for $number {
            fn into_text(self) -> Vec<u8> {
                let $value = self;
                decimal($negative, $magnitude.into())
            }
        }
    )*};
}

whole_numbers! {
    i32, |number| number < 0, number.unsigned_abs();
    i64, |number| number < 0, number.unsigned_abs();
    u32, |number| false, number;
    u64, |number| false, number;
}

fn decimal(negative: bool, mut number: u64) -> Vec<u8> {
    // From the end: 20 digits are the most, and a sign.
    let mut text = [b'-'; 21];
    let mut start = text.len();
    for place in text.iter_mut().rev() {
        *place = b'0' + (number % 10) as u8;
        number /= 10;
        start -= 1;
        if number == 0 {
            break;
        }
    }
    // What is left of the array is minus signs.
    copied(text.get(start - usize::from(negative)..).unwrap_or_default())
}

#[cfg(target_arch = "wasm32")]
pub(crate) use crate::alloc::copied;

#[cfg(not(target_arch = "wasm32"))]
pub(crate) fn copied(bytes: &[u8]) -> Vec<u8> {
    bytes.to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_decimal() {
        let cases: [(Vec<u8>, &str); 8] = [
            (0u32.into_text(), "0"),
            (7u32.into_text(), "7"),
            (u32::MAX.into_text(), "4294967295"),
            (u64::MAX.into_text(), "18446744073709551615"),
            ((-1i32).into_text(), "-1"),
            (i32::MIN.into_text(), "-2147483648"),
            (i64::MIN.into_text(), "-9223372036854775808"),
            (i64::MAX.into_text(), "9223372036854775807"),
        ];
        for (got, wanted) in cases {
            assert_eq!(str::from_utf8(&got), Ok(wanted));
        }
    }
}
