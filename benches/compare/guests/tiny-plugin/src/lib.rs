//! As little as a plug-in of Extism's can be.
#![allow(missing_docs)]

use extism_pdk::{FnResult, plugin_fn};

#[plugin_fn]
pub fn echo(data: Vec<u8>) -> FnResult<Vec<u8>> {
    Ok(data)
}
