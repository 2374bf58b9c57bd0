//! A mebibyte of guest: an engine for regular expressions with the tables of Unicode, which a first event does not touch.
#![no_std]

extern crate alloc;

use alloc::vec::Vec;

/// Answers with the length of the data, without going near what makes the module big.
pub fn ping(data: &[u8]) -> Vec<u8> {
    (data.len() as u32).to_le_bytes().to_vec()
}

/// How often the pattern in the first line matches what follows it.
pub fn matches(data: &[u8]) -> Vec<u8> {
    let text = core::str::from_utf8(data).unwrap_or_default();
    let (pattern, rest) = text.split_once('\n').unwrap_or((text, ""));
    let count = regex::Regex::new(pattern).map_or(0, |pattern| pattern.find_iter(rest).count());
    (count as u32).to_le_bytes().to_vec()
}
