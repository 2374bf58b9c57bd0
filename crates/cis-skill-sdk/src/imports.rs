//! The host's functions, made safe to call.
//!
//! # The invariants we must uphold
//!
//! - What goes to the host is a live slice for as long as the call lasts. The host copies it and keeps no pointer.
//! - While a call lasts, the host may call `cis_alloc` and nothing else. No borrow of the heap is open then: see `alloc`.
//! - Bytes that come back lie in a block that the host had from `cis_alloc` with exactly their length, and are the
//!   guest's from then on. They become a `Vec<u8>`, whose layout is the one `cis_alloc` uses.

#![allow(unsafe_code)]

use alloc_crate::vec::Vec;
use core::ptr;

use cis_wasm_abi::{Packed, Status, Unpacked};

use crate::{Call, Error, Level};

#[link(wasm_import_module = "env")]
unsafe extern "C" {
    safe fn host_memory_get(key_ptr: *const u8, key_len: usize) -> i64;
    safe fn host_memory_set(key_ptr: *const u8, key_len: usize, val_ptr: *const u8, val_len: usize) -> i32;
    safe fn host_memory_delete(key_ptr: *const u8, key_len: usize) -> i32;
    safe fn host_memory_list(prefix_ptr: *const u8, prefix_len: usize) -> i64;
    safe fn host_ai_chat(prompt_ptr: *const u8, prompt_len: usize) -> i64;
    safe fn host_http_post(url_ptr: *const u8, url_len: usize, body_ptr: *const u8, body_len: usize) -> i64;
    safe fn host_log(level: i32, msg_ptr: *const u8, msg_len: usize);
    safe fn host_config_get(key_ptr: *const u8, key_len: usize) -> i64;
    safe fn host_set_error(msg_ptr: *const u8, msg_len: usize);
}

pub(crate) fn memory_get(key: &str) -> Result<Option<Vec<u8>>, Error> {
    received(Call::MemoryGet, host_memory_get(key.as_ptr(), key.len()))
}

pub(crate) fn memory_set(key: &str, value: &[u8]) -> Result<(), Error> {
    status(Call::MemorySet, host_memory_set(key.as_ptr(), key.len(), value.as_ptr(), value.len())).map(|_| ())
}

pub(crate) fn memory_delete(key: &str) -> Result<bool, Error> {
    status(Call::MemoryDelete, host_memory_delete(key.as_ptr(), key.len())).map(|code| code == Status::Ok.code())
}

pub(crate) fn memory_list(prefix: &str) -> Result<Vec<u8>, Error> {
    received(Call::MemoryList, host_memory_list(prefix.as_ptr(), prefix.len())).map(Option::unwrap_or_default)
}

pub(crate) fn ai_chat(prompt: &str) -> Result<Vec<u8>, Error> {
    received(Call::AiChat, host_ai_chat(prompt.as_ptr(), prompt.len())).map(Option::unwrap_or_default)
}

pub(crate) fn http_post(url: &str, body: &[u8]) -> Result<Vec<u8>, Error> {
    let packed = host_http_post(url.as_ptr(), url.len(), body.as_ptr(), body.len());
    received(Call::HttpPost, packed).map(Option::unwrap_or_default)
}

pub(crate) fn log(level: Level, message: &[u8]) {
    host_log(level as i32, message.as_ptr(), message.len());
}

pub(crate) fn config_get(key: &str) -> Result<Option<Vec<u8>>, Error> {
    received(Call::ConfigGet, host_config_get(key.as_ptr(), key.len()))
}

pub(crate) fn set_error(message: &[u8]) {
    host_set_error(message.as_ptr(), message.len());
}

fn status(call: Call, code: i32) -> Result<i32, Error> {
    if code < 0 { Err(Error::Host { call, code }) } else { Ok(code) }
}

fn received(call: Call, packed: i64) -> Result<Option<Vec<u8>>, Error> {
    match Packed::from_i64(packed).unpack() {
        Unpacked::Status(code) => status(call, code).map(|_| None),
        Unpacked::Bytes { len: 0, .. } => Ok(Some(Vec::new())),
        Unpacked::Bytes { ptr, len } => {
            let bytes = ptr::with_exposed_provenance_mut(ptr as usize);
            // SAFETY: the host had this block from `cis_alloc(len)`, wrote all of it, and has given it to us.
            Ok(Some(unsafe { Vec::from_raw_parts(bytes, len as usize, len as usize) }))
        }
    }
}
