//! A mebibyte of guest as a plug-in of Extism's.
#![allow(missing_docs)]

use extism_pdk::{FnResult, plugin_fn};

#[plugin_fn]
pub fn ping(data: Vec<u8>) -> FnResult<Vec<u8>> {
    Ok(compare_big::ping(&data))
}

#[plugin_fn]
pub fn matches(data: Vec<u8>) -> FnResult<Vec<u8>> {
    Ok(compare_big::matches(&data))
}
