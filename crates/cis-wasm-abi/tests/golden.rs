//! Golden bytes: what is on the wire may never change under version 1.

use cis_wasm_abi::{
    ABI_VERSION, EXPORTS, IMPORT_MODULE, IMPORTS, Keys, KeysError, Level, Packed, Region, Status, Unpacked, ValType,
    import, key_entry_len, write_key_entry,
};

/// The seed document's encoder, to the letter.
fn encode_result(ptr: i32, len: i32) -> i64 {
    ((ptr as i64) << 32) | (len as i64 & 0xFFFFFFFF)
}

#[track_caller]
fn packs(ptr: u32, len: u32, raw: i64) {
    let packed = Packed::bytes(ptr, len).unwrap();
    assert_eq!(packed.to_i64(), raw);
    assert_eq!(packed.to_i64(), encode_result(ptr as i32, len as i32));
    assert_eq!(Packed::from_i64(raw).unpack(), Unpacked::Bytes { ptr, len });
}

#[test]
fn packed_bytes() {
    packs(1, 0, 0x0000_0001_0000_0000);
    packs(0x1_0000, 5, 0x0001_0000_0000_0005);
    packs(0x8000_0000, 0x8000_0000, 0x8000_0000_8000_0000_u64 as i64);
    packs(u32::MAX, u32::MAX, -1);
    assert_eq!(Packed::bytes(0, 5), None);
}

#[test]
fn packed_statuses() {
    assert_eq!(Packed::status(Status::Ok).to_i64(), 0);
    assert_eq!(Packed::status(Status::Denied).to_i64(), 0x0000_0000_FFFF_FFFD);
    assert_eq!(Packed::code(i32::MIN).unpack(), Unpacked::Status(i32::MIN));
    for status in Status::ALL {
        assert_eq!(Packed::status(status).unpack(), Unpacked::Status(status.code()));
        assert_eq!(Status::from_code(status.code()), Some(status));
        assert_eq!(status.is_error(), status.code() < 0);
    }
    assert_eq!(Status::from_code(2), None);
    assert_eq!(Status::from_code(-10), None);
}

#[test]
fn status_numbers() {
    let numbers: Vec<_> = Status::ALL.iter().map(|status| (status.name(), status.code())).collect();
    assert_eq!(
        numbers,
        [
            ("ok", 0),
            ("not_found", 1),
            ("invalid_argument", -1),
            ("not_utf8", -2),
            ("denied", -3),
            ("not_configured", -4),
            ("too_large", -5),
            ("quota_exceeded", -6),
            ("timed_out", -7),
            ("backend_failed", -8),
            ("upstream_error", -9),
        ]
    );
}

#[test]
fn signatures() {
    let short = |ty: &ValType| match ty {
        ValType::I32 => 'i',
        ValType::I64 => 'I',
    };
    let imports: Vec<_> = IMPORTS
        .iter()
        .map(|import| {
            let params: String = import.params.iter().map(|(_, ty)| short(ty)).collect();
            let result: String = import.result.iter().map(short).collect();
            format!("{} {params}>{result}", import.name)
        })
        .collect();
    assert_eq!(
        imports,
        [
            "host_memory_get ii>I",
            "host_memory_set iiii>i",
            "host_memory_delete ii>i",
            "host_memory_list ii>I",
            "host_ai_chat ii>I",
            "host_http_post iiii>I",
            "host_log iii>",
            "host_config_get ii>I",
            "host_set_error ii>",
        ]
    );
    let exports: Vec<_> = EXPORTS.iter().map(|export| export.name).collect();
    assert_eq!(
        exports,
        ["skill_on_event", "skill_init", "skill_shutdown", "cis_alloc", "malloc", "cis_free", "cis_abi_version"]
    );
    assert_eq!((IMPORT_MODULE, ABI_VERSION), ("env", 1));
    assert!(import("host_log").is_some() && import("host_exec").is_none());
}

#[test]
fn levels_saturate() {
    assert_eq!(Level::ALL.map(|level| level as i32), [0, 1, 2, 3]);
    for (raw, level) in [(i32::MIN, Level::Debug), (-1, Level::Debug), (4, Level::Error), (i32::MAX, Level::Error)] {
        assert_eq!(Level::from_i32(raw), level);
    }
    for level in Level::ALL {
        assert_eq!(Level::from_i32(level as i32), level);
    }
}

#[track_caller]
fn region(ptr: i32, len: i32, memory_len: u64, range: Option<std::ops::Range<usize>>) {
    assert_eq!(Region::from_args(ptr, len).within(memory_len), range);
}

#[test]
fn regions() {
    region(0, 0, 0, Some(0..0));
    region(4, 4, 8, Some(4..8));
    region(8, 0, 8, Some(8..8));
    region(9, 0, 8, None);
    region(4, 5, 8, None);
    region(-1, 1, 65_536, None);
    region(-1, -1, u64::from(u32::MAX), None);
    region(65_535, -1, 65_536, None);
    region(i32::MIN, 1, 1 << 32, Some(0x8000_0000..0x8000_0001));
}

#[test]
fn key_lists() {
    let mut list = [0xAA; 32];
    let mut end = write_key_entry("", &mut list).unwrap();
    end += write_key_entry("né", &mut list[end..]).unwrap();
    assert_eq!(list[..end], [0, 0, 0, 0, 3, 0, 0, 0, b'n', 0xC3, 0xA9]);
    assert_eq!(end, key_entry_len("") + key_entry_len("né"));
    assert!(Keys::new(&list[..end]).eq([Ok(""), Ok("né")]));
    assert!(Keys::new(&[]).next().is_none());
    assert!(Keys::new(&[1, 0, 0]).eq([Err(KeysError::Truncated)]));
    assert!(Keys::new(&[2, 0, 0, 0, b'a']).eq([Err(KeysError::Truncated)]));
    assert!(Keys::new(&[255, 255, 255, 255, b'a']).eq([Err(KeysError::Truncated)]));
    assert!(Keys::new(&[1, 0, 0, 0, 0xFF, 9]).eq([Err(KeysError::NotUtf8)]));
    assert_eq!(write_key_entry("abc", &mut [0; 6]), None);
}
