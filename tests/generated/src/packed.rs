//! The wire contract: packed results, regions, key lists, statuses and levels.

use arbitrary::{Arbitrary, Result, Unstructured};
use cis_wasm_abi::{Keys, KeysError, Level, Packed, Region, Status, Unpacked, import, key_entry_len, write_key_entry};

use crate::tally::Tally;

/// Reads numbers and lists as the contract has them, and writes them back. Counts inputs that reached all of it.
///
/// # Panics
///
/// When reading does not undo writing, or a region lies elsewhere than arithmetic without overflow says.
pub fn packed(data: &[u8]) -> Tally {
    let mut tally = Tally::default();
    // Any bytes are a list, good or bad, with nothing taken off by the numbers.
    key_list(data);
    let mut unstructured = Unstructured::new(data);
    // What the bytes do not reach is not checked: that is all that an error here means.
    if numbers(&mut unstructured).and_then(|()| written_list(&mut unstructured)).is_ok() {
        tally.count("checked");
    }
    tally
}

fn numbers(u: &mut Unstructured<'_>) -> Result<()> {
    let (raw, ptr, len): (i64, u32, u32) = u.arbitrary()?;
    packed_result(raw);
    packed_bytes(ptr, len);
    let (ptr, len, code) = (edgy(u)?, edgy(u)?, u.arbitrary()?);
    let memory = if u.arbitrary()? { u64::from(edgy(u)?) + 1 } else { u.arbitrary()? };
    region(ptr, len, memory);
    status_code(code);
    level(code);
    Ok(())
}

/// A number that is often at one of the edges.
fn edgy(u: &mut Unstructured<'_>) -> Result<u32> {
    let edge: u32 = *u.choose(&[0, 1, 0xFFFF, 0x1_0000, 0x7FFF_FFFF, 0x8000_0000, 0xFFFF_FFFF])?;
    if u.arbitrary()? { Ok(edge.wrapping_add_signed(u.arbitrary::<i8>()?.into())) } else { u.arbitrary() }
}

fn packed_result(raw: i64) {
    let packed = Packed::from_i64(raw);
    assert_eq!(packed.to_i64(), raw);
    let again = match packed.unpack() {
        Unpacked::Bytes { ptr, len } => Packed::bytes(ptr, len).expect("unpacked bytes have a pointer"),
        Unpacked::Status(code) => Packed::code(code),
    };
    assert_eq!(again, packed);
}

fn packed_bytes(ptr: u32, len: u32) {
    match Packed::bytes(ptr, len) {
        None => assert_eq!(ptr, 0),
        Some(packed) => {
            assert_eq!(packed.unpack(), Unpacked::Bytes { ptr, len });
            assert_eq!(packed.to_i64() as u64, (u64::from(ptr) << 32) + u64::from(len));
        }
    }
}

fn region(ptr: u32, len: u32, memory: u64) {
    let region = Region::from_args(ptr as i32, len as i32);
    assert_eq!(region, Region { ptr, len });
    let end = u128::from(ptr) + u128::from(len);
    match region.within(memory) {
        None => assert!(end > u128::from(memory) || end > usize::MAX as u128, "{region:?} in {memory}"),
        Some(range) => {
            assert!(end <= u128::from(memory), "{region:?} in {memory}");
            assert_eq!((range.start as u128, range.end as u128), (ptr.into(), end));
        }
    }
}

fn status_code(code: i32) {
    match Status::from_code(code) {
        Some(status) => assert_eq!((status.code(), status.is_error()), (code, code < 0)),
        None => assert!(Status::ALL.iter().all(|status| status.code() != code)),
    }
    assert_eq!(Packed::code(code).unpack(), Unpacked::Status(code));
}

fn level(number: i32) {
    let level = Level::from_i32(number);
    assert_eq!(level as i32, number.clamp(0, 3));
}

/// Reads any bytes as a list, and writes what was read.
fn key_list(bytes: &[u8]) {
    let mut read = 0;
    let mut keys = Keys::new(bytes);
    while let Some(key) = keys.next() {
        match key {
            Ok(key) => {
                let mut entry = vec![0; key_entry_len(key)];
                assert_eq!(write_key_entry(key, &mut entry), Some(entry.len()));
                assert_eq!(entry, bytes[read..read + entry.len()]);
                read += entry.len();
            }
            Err(error) => {
                assert_broken(&bytes[read..], error);
                assert!(keys.next().is_none(), "a list went on after an error");
                return;
            }
        }
    }
    assert_eq!(read, bytes.len(), "a list ended before its bytes did");
}

/// Whether an entry is wrong in the way that was said.
fn assert_broken(entry: &[u8], error: KeysError) {
    let body = entry.split_first_chunk::<4>().map(|(len, body)| (u32::from_le_bytes(*len) as usize, body));
    match (error, body) {
        (KeysError::Truncated, None) => {}
        (KeysError::Truncated, Some((len, body))) => assert!(len > body.len(), "an entry is whole"),
        (KeysError::NotUtf8, Some((len, body))) => assert!(str::from_utf8(&body[..len]).is_err(), "an entry is text"),
        (KeysError::NotUtf8, None) => panic!("an entry without a length has no text"),
    }
}

/// Writes a list of any keys, and reads it.
fn written_list(u: &mut Unstructured<'_>) -> Result<()> {
    let keys = Vec::<&str>::arbitrary(u)?;
    let room = keys.iter().map(|key| key_entry_len(key)).sum();
    let mut list = vec![0xAA; room];
    let mut end = 0;
    for key in &keys {
        let len = key_entry_len(key);
        // With a byte less there is no room, and what there is stays as it was.
        let mut short = vec![0xAA; len - 1];
        assert_eq!(write_key_entry(key, &mut short), None);
        assert!(short.iter().all(|byte| *byte == 0xAA));
        end += write_key_entry(key, &mut list[end..]).expect("the list has room for its keys");
        assert!(list[end..].iter().all(|byte| *byte == 0xAA), "an entry was written past its end");
        assert_eq!(import(key).is_some(), cis_wasm_abi::IMPORTS.iter().any(|import| import.name == *key));
    }
    assert!(Keys::new(&list).eq(keys.iter().map(|key| Ok(*key))));
    Ok(())
}
