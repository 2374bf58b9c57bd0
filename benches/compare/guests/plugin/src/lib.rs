//! The workloads as a plug-in of Extism's: an export each.
//!
//! Invariant: the host functions are those that the comparison's host defines, under these names and types.
#![allow(missing_docs)]

use compare_logic::World;
use extism_pdk::{Error, FnResult, host_fn, plugin_fn};

#[host_fn]
extern "ExtismHost" {
    fn memory_get(key: &str) -> Vec<u8>;
    fn memory_set(key: &str, value: &[u8]);
    fn log_line(line: &str);
    fn ai_chat(prompt: &str) -> Vec<u8>;
}

#[plugin_fn]
pub fn echo(data: Vec<u8>) -> FnResult<Vec<u8>> {
    Ok(data)
}

#[plugin_fn]
pub fn agent_step(data: Vec<u8>) -> FnResult<Vec<u8>> {
    Ok(compare_logic::agent_step(&mut Host, &data).map_err(Error::from)?)
}

#[plugin_fn]
pub fn agent_step_alone(data: Vec<u8>) -> FnResult<Vec<u8>> {
    Ok(compare_logic::agent_step_alone(&data).map_err(Error::from)?)
}

#[plugin_fn]
pub fn write_pages(_: ()) -> FnResult<Vec<u8>> {
    Ok(compare_logic::write_pages())
}

#[plugin_fn]
pub fn host_1000(_: ()) -> FnResult<Vec<u8>> {
    Ok(compare_logic::host_1000(&mut Host))
}

#[plugin_fn]
pub fn compute(_: ()) -> FnResult<Vec<u8>> {
    Ok(compare_logic::compute())
}

#[plugin_fn]
pub fn ask(_: ()) -> FnResult<Vec<u8>> {
    // SAFETY: the host defines it with this type.
    Ok(unsafe { ai_chat("what now?")? })
}

struct Host;

impl World for Host {
    fn get(&mut self, key: &str) -> Option<Vec<u8>> {
        // SAFETY: the host defines it with this type.
        let value = unsafe { memory_get(key) };
        // A key that is not there has no bytes: none of the workloads stores an empty value.
        value.ok().filter(|value| !value.is_empty())
    }

    fn set(&mut self, key: &str, value: &[u8]) {
        // SAFETY: the host defines it with this type. It stops the event when it cannot store.
        let _ = unsafe { memory_set(key, value) };
    }

    fn log(&mut self, line: &str) {
        // SAFETY: the host defines it with this type.
        let _ = unsafe { log_line(line) };
    }
}
