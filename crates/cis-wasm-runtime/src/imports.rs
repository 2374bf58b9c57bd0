//! What the host functions do: arguments out of guest memory, a call through the door, the reply into guest memory.
//!
//! Invariant: an argument's region is checked against memory, and then its length against the ceiling of its kind, before
//! a byte is looked at, copied or allocated for it.

use std::borrow::Cow;
use std::fmt;

use bytes::Bytes;
use cis_wasm_abi::{IMPORT_MODULE, Level, Packed, Region, Status, ceilings};
use cis_wasm_host::unwired::{Limit, unwired};
use cis_wasm_host::{HostCall, HostReply, QuickCall};

use crate::error::{Error, ErrorKind};
use crate::fiber::Suspension;
use crate::guest::{self, Guest, Running, internal};
use crate::memory::{GuestMemory, OutOfBounds, bad_pointer, within};
use crate::meter::{METER_MODULE, REFUEL};
use crate::native::Func;
use crate::room::{Putting, packed, put, put_at_once};

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

/// How an import goes on.
#[derive(Clone, Copy)]
pub(crate) enum Answer {
    /// It returns this.
    Value(i64),
    /// The guest finds so much room, and then the reply is put there: [`fill`].
    Room { allocate: Func, bytes: u32 },
    /// The run is suspended here, and then the import is called again.
    Later(Suspension),
}

/// The functions that a module with these imports is linked to, by module and name.
pub(crate) fn names<'n>(imports: &'n [&'static str]) -> impl Iterator<Item = (&'static str, &'static str)> + use<'n> {
    imports.iter().map(|name| (IMPORT_MODULE, *name)).chain([(METER_MODULE, REFUEL)])
}

pub(crate) fn refuel(guest: &mut Guest) -> Result<Answer, Error> {
    guest::refuel(guest).map(|()| Answer::Value(0))
}

pub(crate) fn memory_get(guest: &mut Guest, key_ptr: i32, key_len: i32) -> Result<Answer, Error> {
    let reply =
        quickly(guest, "host_memory_get", |args, make| make(QuickCall::MemoryGet { key: args.key(key_ptr, key_len)? }));
    give(guest, reply?)
}

pub(crate) fn memory_set(
    guest: &mut Guest,
    key_ptr: i32,
    key_len: i32,
    val_ptr: i32,
    val_len: i32,
) -> Result<Answer, Error> {
    let reply = quickly(guest, "host_memory_set", |args, make| {
        let key = args.key(key_ptr, key_len)?;
        let value = args.read("value", Region::from_args(val_ptr, val_len), ceilings::VALUE)?;
        make(QuickCall::MemorySet { key, value })
    });
    status(reply?)
}

pub(crate) fn memory_delete(guest: &mut Guest, key_ptr: i32, key_len: i32) -> Result<Answer, Error> {
    let reply = quickly(guest, "host_memory_delete", |args, make| {
        make(QuickCall::MemoryDelete { key: args.key(key_ptr, key_len)? })
    });
    status(reply?)
}

pub(crate) fn memory_list(guest: &mut Guest, prefix_ptr: i32, prefix_len: i32) -> Result<Answer, Error> {
    let reply = slowly(guest, "host_memory_list", |args| {
        let prefix = args.text("prefix", prefix_ptr, prefix_len, LONGEST_KEY)?.to_owned();
        Ok(HostCall::MemoryList { prefix })
    });
    give(guest, reply?)
}

pub(crate) fn ai_chat(guest: &mut Guest, prompt_ptr: i32, prompt_len: i32) -> Result<Answer, Error> {
    let reply = slowly(guest, "host_ai_chat", |args| {
        let prompt = args.text("prompt", prompt_ptr, prompt_len, ceilings::PROMPT)?.to_owned();
        Ok(HostCall::AiChat { prompt })
    });
    give(guest, reply?)
}

pub(crate) fn http_post(
    guest: &mut Guest,
    url_ptr: i32,
    url_len: i32,
    body_ptr: i32,
    body_len: i32,
) -> Result<Answer, Error> {
    let reply = slowly(guest, "host_http_post", |args| {
        let url = args.text("URL", url_ptr, url_len, ceilings::URL)?.to_owned();
        Ok(HostCall::HttpPost { url, body: args.bytes("body", body_ptr, body_len, ceilings::HTTP_BODY)? })
    });
    give(guest, reply?)
}

pub(crate) fn log(guest: &mut Guest, level: i32, msg_ptr: i32, msg_len: i32) -> Result<Answer, Error> {
    let reply = quickly(guest, "host_log", |args, make| {
        let message = &args.cut("message", msg_ptr, msg_len, ceilings::LOG_LINE)?;
        make(QuickCall::Log { level: Level::from_i32(level), message })
    });
    status(reply?)
}

pub(crate) fn config_get(guest: &mut Guest, key_ptr: i32, key_len: i32) -> Result<Answer, Error> {
    let reply =
        quickly(guest, "host_config_get", |args, make| make(QuickCall::ConfigGet { key: args.key(key_ptr, key_len)? }));
    give(guest, reply?)
}

pub(crate) fn set_error(guest: &mut Guest, msg_ptr: i32, msg_len: i32) -> Result<Answer, Error> {
    let reply = quickly(guest, "host_set_error", |args, make| {
        make(QuickCall::SetError { message: &args.cut("message", msg_ptr, msg_len, ceilings::ERROR_TEXT)? })
    });
    status(reply?)
}

/// Puts the reply that the guest was asked to find room for where it found some.
pub(crate) fn fill(guest: &mut Guest, ptr: u32) -> Result<i64, Error> {
    let reply = guest.running()?.reply.take().ok_or_else(|| internal("there is no reply to give"))?;
    Ok(packed(put(guest, ptr, &reply)?)?.to_i64())
}

/// A key with the longest mark of a shared namespace before it; the door checks the key itself.
const LONGEST_KEY: usize = ceilings::KEY + 66;

/// Why there is no reply.
enum Unanswered {
    /// An argument is of no use. The guest is told.
    Refused(Status, String),
    /// The event ends.
    Stopped(Error),
}

impl From<Error> for Unanswered {
    fn from(error: Error) -> Self {
        Unanswered::Stopped(error)
    }
}

/// The arguments of one call, in guest memory.
struct Arguments<'a> {
    call: &'static str,
    memory: &'a GuestMemory,
}

impl<'a> Arguments<'a> {
    fn key(&self, ptr: i32, len: i32) -> Result<&'a str, Unanswered> {
        self.text("key", ptr, len, LONGEST_KEY)
    }

    fn text(&self, what: &str, ptr: i32, len: i32, ceiling: usize) -> Result<&'a str, Unanswered> {
        let bytes = self.read(what, Region::from_args(ptr, len), ceiling)?;
        str::from_utf8(bytes).map_err(|_| Unanswered::Refused(Status::NotUtf8, format!("the {what} is not UTF-8")))
    }

    fn bytes(&self, what: &str, ptr: i32, len: i32, ceiling: usize) -> Result<Bytes, Unanswered> {
        self.read(what, Region::from_args(ptr, len), ceiling).map(Bytes::copy_from_slice)
    }

    /// A text that is cut where it is too long, and repaired where it is not UTF-8: there is nobody to refuse it to.
    fn cut(&self, what: &str, ptr: i32, len: i32, ceiling: usize) -> Result<Cow<'a, str>, Unanswered> {
        let mut region = Region::from_args(ptr, len);
        self.check(what, region)?;
        if !unwired(Limit::CallCeilings) {
            region.len = region.len.min(u32::try_from(ceiling).unwrap_or(u32::MAX));
        }
        let bytes = self.read(what, region, usize::MAX)?;
        // Looking whether it is text is quicker than repairing it.
        Ok(str::from_utf8(bytes).map_or_else(|_| String::from_utf8_lossy(bytes), Cow::Borrowed))
    }

    fn read(&self, what: &str, region: Region, ceiling: usize) -> Result<&'a [u8], Unanswered> {
        self.check(what, region)?;
        if region.len as usize > ceiling && !unwired(Limit::CallCeilings) {
            let why = format!("the {what} has {} bytes, more than {ceiling}", region.len);
            return Err(Unanswered::Refused(Status::TooLarge, why));
        }
        self.memory.read(region).map_err(|out| self.out(what, out))
    }

    /// That all of a region lies within memory.
    fn check(&self, what: &str, region: Region) -> Result<(), Unanswered> {
        let memory = self.memory.len();
        within(region, memory).map(drop).ok_or_else(|| self.out(what, OutOfBounds { region, memory }))
    }

    #[cold]
    fn out(&self, what: &str, out: OutOfBounds) -> Unanswered {
        Unanswered::Stopped(bad_pointer(format!("{}: {what}", self.call), out))
    }
}

/// Makes a call that may be answered on the spot, with its arguments where they lie.
#[inline]
fn quickly(
    guest: &mut Guest,
    name: &'static str,
    call: impl FnOnce(
        &Arguments<'_>,
        &mut dyn FnMut(QuickCall<'_>) -> Result<HostReply, Unanswered>,
    ) -> Result<HostReply, Unanswered>,
) -> Result<HostReply, Error> {
    let (args, running) = calling(guest, name)?;
    let replied = call(&args, &mut |call| Ok(running.ask_quickly(&call)?));
    replied.or_else(|unanswered| refused(running, name, unanswered))
}

/// Makes any other call, and waits for its reply.
fn slowly(
    guest: &mut Guest,
    name: &'static str,
    call: impl FnOnce(&Arguments<'_>) -> Result<HostCall, Unanswered>,
) -> Result<HostReply, Error> {
    let (args, running) = calling(guest, name)?;
    match call(&args) {
        Ok(call) => running.ask(call),
        Err(unanswered) => refused(running, name, unanswered),
    }
}

/// A guest makes a call.
#[inline]
fn calling<'g>(guest: &'g mut Guest, name: &'static str) -> Result<(Arguments<'g>, &'g mut Running), Error> {
    let (parts, running) = guest.at_work()?;
    if running.allocating && !unwired(Limit::Reentry) {
        let what = format!("called {name}; it may not call the host while it allocates for it");
        return Err(ErrorKind::BadAllocation { what }.into());
    }
    if running.context.journal.trace().is_some() {
        running.context.journal.at_fuel(running.fuel.used(parts.fuel.get()));
    }
    Ok((Arguments { call: name, memory: &parts.memory }, running))
}

#[cold]
fn refused(running: &mut Running, name: &'static str, unanswered: Unanswered) -> Result<HostReply, Error> {
    match unanswered {
        Unanswered::Refused(status, why) => Ok(running.host.refuse(&mut running.context, name, status, why)?),
        Unanswered::Stopped(error) => Err(error),
    }
}

/// Answers with a packed result.
fn give(guest: &mut Guest, reply: HostReply) -> Result<Answer, Error> {
    let bytes = match reply {
        HostReply::Status(status) => return Ok(Answer::Value(Packed::status(status).to_i64())),
        HostReply::Bytes(bytes) => bytes,
    };
    match put_at_once(guest, &bytes)? {
        Putting::Done(region) => Ok(Answer::Value(packed(region)?.to_i64())),
        Putting::Asks { allocate, bytes: room } => {
            guest.running()?.reply = Some(bytes);
            Ok(Answer::Room { allocate, bytes: room })
        }
    }
}

/// Answers with a status.
fn status(reply: HostReply) -> Result<Answer, Error> {
    match reply {
        HostReply::Status(status) => Ok(Answer::Value(status.code().into())),
        HostReply::Bytes(_) => Err(internal("a call that has a status was answered with bytes")),
    }
}
