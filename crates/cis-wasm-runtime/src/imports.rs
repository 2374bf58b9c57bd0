//! The host functions as the engine sees them: arguments out of guest memory, a [`HostCall`] through the door, the reply
//! into guest memory.
//!
//! Invariant: an argument's region is checked against memory, and then its length against the ceiling of its kind, before
//! a byte is copied or allocated for it.

use std::fmt;

use cis_wasm_abi::{IMPORT_MODULE, Level, Packed, Region, Status, ceilings};
use cis_wasm_host::unwired::{Limit, unwired};
use cis_wasm_host::{HostCall, HostReply};
use wasmer::{Function, FunctionEnv, FunctionEnvMut, Imports, Store};

use crate::error::{Error, ErrorKind};
use crate::guest::{self, Guest, give, internal};
use crate::memory::{GuestMemory, bad_pointer, within};
use crate::meter::{METER_MODULE, REFUEL};

/// An error on its way through the engine, out of an import and past the guest.
pub(crate) struct Stop(pub Error);

impl fmt::Debug for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl std::error::Error for Stop {}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Stop(error)
    }
}

/// The imports of a module that imports these functions.
pub(crate) fn imports(store: &mut Store, env: &FunctionEnv<Guest>, names: &[&'static str]) -> Imports {
    let mut imports = Imports::new();
    for name in names {
        if let Some(function) = host_function(store, env, name) {
            imports.define(IMPORT_MODULE, name, function);
        }
    }
    imports.define(METER_MODULE, REFUEL, Function::new_typed_with_env(store, env, refuel));
    imports
}

fn host_function(store: &mut Store, env: &FunctionEnv<Guest>, name: &str) -> Option<Function> {
    Some(match name {
        "host_memory_get" => Function::new_typed_with_env(store, env, memory_get),
        "host_memory_set" => Function::new_typed_with_env(store, env, memory_set),
        "host_memory_delete" => Function::new_typed_with_env(store, env, memory_delete),
        "host_memory_list" => Function::new_typed_with_env(store, env, memory_list),
        "host_ai_chat" => Function::new_typed_with_env(store, env, ai_chat),
        "host_http_post" => Function::new_typed_with_env(store, env, http_post),
        "host_log" => Function::new_typed_with_env(store, env, log),
        "host_config_get" => Function::new_typed_with_env(store, env, config_get),
        "host_set_error" => Function::new_typed_with_env(store, env, set_error),
        _ => return None,
    })
}

type Env<'e> = FunctionEnvMut<'e, Guest>;

fn refuel(mut env: Env<'_>) -> Result<(), Stop> {
    Ok(guest::refuel(&mut env)?)
}

fn memory_get(env: Env<'_>, key_ptr: i32, key_len: i32) -> Result<i64, Stop> {
    packed(env, "host_memory_get", |args| Ok(HostCall::MemoryGet { key: args.key(key_ptr, key_len)? }))
}

fn memory_set(env: Env<'_>, key_ptr: i32, key_len: i32, val_ptr: i32, val_len: i32) -> Result<i32, Stop> {
    status(env, "host_memory_set", |args| {
        let key = args.key(key_ptr, key_len)?;
        Ok(HostCall::MemorySet { key, value: args.bytes("value", val_ptr, val_len, ceilings::VALUE)? })
    })
}

fn memory_delete(env: Env<'_>, key_ptr: i32, key_len: i32) -> Result<i32, Stop> {
    status(env, "host_memory_delete", |args| Ok(HostCall::MemoryDelete { key: args.key(key_ptr, key_len)? }))
}

fn memory_list(env: Env<'_>, prefix_ptr: i32, prefix_len: i32) -> Result<i64, Stop> {
    packed(env, "host_memory_list", |args| {
        let prefix = args.text("prefix", prefix_ptr, prefix_len, LONGEST_KEY)?;
        Ok(HostCall::MemoryList { prefix })
    })
}

fn ai_chat(env: Env<'_>, prompt_ptr: i32, prompt_len: i32) -> Result<i64, Stop> {
    packed(env, "host_ai_chat", |args| {
        Ok(HostCall::AiChat { prompt: args.text("prompt", prompt_ptr, prompt_len, ceilings::PROMPT)? })
    })
}

fn http_post(env: Env<'_>, url_ptr: i32, url_len: i32, body_ptr: i32, body_len: i32) -> Result<i64, Stop> {
    packed(env, "host_http_post", |args| {
        let url = args.text("URL", url_ptr, url_len, ceilings::URL)?;
        Ok(HostCall::HttpPost { url, body: args.bytes("body", body_ptr, body_len, ceilings::HTTP_BODY)? })
    })
}

fn log(env: Env<'_>, level: i32, msg_ptr: i32, msg_len: i32) -> Result<(), Stop> {
    let call = |args: &Arguments<'_>| {
        let message = args.cut("message", msg_ptr, msg_len, ceilings::LOG_LINE)?;
        Ok(HostCall::Log { level: Level::from_i32(level), message })
    };
    status(env, "host_log", call).map(drop)
}

fn config_get(env: Env<'_>, key_ptr: i32, key_len: i32) -> Result<i64, Stop> {
    packed(env, "host_config_get", |args| Ok(HostCall::ConfigGet { key: args.key(key_ptr, key_len)? }))
}

fn set_error(env: Env<'_>, msg_ptr: i32, msg_len: i32) -> Result<(), Stop> {
    let call = |args: &Arguments<'_>| {
        Ok(HostCall::SetError { message: args.cut("message", msg_ptr, msg_len, ceilings::ERROR_TEXT)? })
    };
    status(env, "host_set_error", call).map(drop)
}

/// A key with the longest mark of a shared namespace before it; the door checks the key itself.
const LONGEST_KEY: usize = ceilings::KEY + 66;

/// An argument that the call cannot be made with.
enum Unusable {
    /// The guest is told.
    Refused(Status, String),
    /// The event ends.
    Stopped(Error),
}

impl From<Error> for Unusable {
    fn from(error: Error) -> Self {
        Unusable::Stopped(error)
    }
}

/// The arguments of one call, in guest memory.
struct Arguments<'a> {
    call: &'static str,
    memory: &'a GuestMemory,
}

impl Arguments<'_> {
    fn key(&self, ptr: i32, len: i32) -> Result<String, Unusable> {
        self.text("key", ptr, len, LONGEST_KEY)
    }

    fn text(&self, what: &str, ptr: i32, len: i32, ceiling: usize) -> Result<String, Unusable> {
        let region = self.region(what, ptr, len, ceiling)?;
        match self.memory.read_text(region) {
            Ok(Some(text)) => Ok(text),
            Ok(None) => Err(Unusable::Refused(Status::NotUtf8, format!("the {what} is not UTF-8"))),
            Err(out) => Err(self.out(what, out)),
        }
    }

    fn bytes(&self, what: &str, ptr: i32, len: i32, ceiling: usize) -> Result<bytes::Bytes, Unusable> {
        let region = self.region(what, ptr, len, ceiling)?;
        self.memory.read(region).map_err(|out| self.out(what, out))
    }

    /// A text that is cut where it is too long, and repaired where it is not UTF-8: there is nobody to refuse it to.
    fn cut(&self, what: &str, ptr: i32, len: i32, ceiling: usize) -> Result<String, Unusable> {
        let mut region = self.region(what, ptr, len, usize::MAX)?;
        if !unwired(Limit::CallCeilings) {
            region.len = region.len.min(u32::try_from(ceiling).unwrap_or(u32::MAX));
        }
        self.memory.read_text_lossy(region).map_err(|out| self.out(what, out))
    }

    fn region(&self, what: &str, ptr: i32, len: i32, ceiling: usize) -> Result<Region, Unusable> {
        let region = Region::from_args(ptr, len);
        let memory = self.memory.len();
        if within(region, memory).is_none() {
            return Err(self.out(what, crate::memory::OutOfBounds { region, memory }));
        }
        if region.len as usize > ceiling && !unwired(Limit::CallCeilings) {
            let why = format!("the {what} has {} bytes, more than {ceiling}", region.len);
            return Err(Unusable::Refused(Status::TooLarge, why));
        }
        Ok(region)
    }

    fn out(&self, what: &str, out: crate::memory::OutOfBounds) -> Unusable {
        Unusable::Stopped(bad_pointer(format!("{}: {what}", self.call), out))
    }
}

/// Makes a call and waits for its reply.
fn perform(
    env: &mut Env<'_>,
    name: &'static str,
    call: impl FnOnce(&Arguments<'_>) -> Result<HostCall, Unusable>,
) -> Result<HostReply, Stop> {
    if env.data_mut().running()?.allocating && !unwired(Limit::Reentry) {
        let what = format!("called {name}; it may not call the host while it allocates for it");
        return Err(Error::from(ErrorKind::BadAllocation { what }).into());
    }
    let call = call(&Arguments { call: name, memory: &env.data().parts()?.memory });
    if env.data_mut().running()?.context.journal.trace().is_some() {
        let left = env.data().parts()?.fuel.get();
        let running = env.data_mut().running()?;
        running.context.journal.at_fuel(running.fuel.used(left));
    }
    let running = env.data_mut().running()?;
    match call {
        Ok(call) => Ok(running.ask(call)?.map_err(Error::from)?),
        Err(Unusable::Refused(status, why)) => {
            Ok(running.host.refuse(&mut running.context, name, status, why).map_err(Error::from)?)
        }
        Err(Unusable::Stopped(error)) => Err(error.into()),
    }
}

/// A call that answers with a packed result.
fn packed(
    mut env: Env<'_>,
    name: &'static str,
    call: impl FnOnce(&Arguments<'_>) -> Result<HostCall, Unusable>,
) -> Result<i64, Stop> {
    let packed = match perform(&mut env, name, call)? {
        HostReply::Status(status) => Packed::status(status),
        HostReply::Bytes(bytes) => guest::packed(give(&mut env, &bytes)?)?,
    };
    Ok(packed.to_i64())
}

/// A call that answers with a status.
fn status(
    mut env: Env<'_>,
    name: &'static str,
    call: impl FnOnce(&Arguments<'_>) -> Result<HostCall, Unusable>,
) -> Result<i32, Stop> {
    match perform(&mut env, name, call)? {
        HostReply::Status(status) => Ok(status.code()),
        HostReply::Bytes(_) => Err(internal(&format!("{name} was answered with bytes")).into()),
    }
}
