//! The calls of the SDK's wrappers, on their way to the world that is installed on this thread.

use std::cell::RefCell;
use std::vec::Vec;

use super::world::{Ask, Reply, World};
use crate::{Call, Error, Level, Status};

std::thread_local! {
    static INSTALLED: RefCell<Option<World>> = const { RefCell::new(None) };
}

/// Installs a world on this thread for as long as `work` runs. Afterwards, and after a panic too, it is back in `world`.
pub(super) fn install<R>(world: &mut World, work: impl FnOnce() -> R) -> R {
    struct Back<'w> {
        world: &'w mut World,
        outer: Option<World>,
    }

    impl Drop for Back<'_> {
        fn drop(&mut self) {
            let world = INSTALLED.replace(self.outer.take());
            *self.world = world.expect("whoever installs a world over this one takes it away again");
        }
    }

    let outer = INSTALLED.replace(Some(std::mem::take(world)));
    let _back = Back { world, outer };
    work()
}

fn ask(ask: Ask<'_>) -> Reply {
    INSTALLED.with_borrow_mut(|world| match world {
        Some(world) => world.ask(ask),
        None => panic!("no host on this thread: call the skill through `TestHost::send` or `TestHost::run`"),
    })
}

pub(crate) fn memory_get(key: &str) -> Result<Option<Vec<u8>>, Error> {
    received(Call::MemoryGet, ask(Ask::MemoryGet { key }))
}

pub(crate) fn memory_set(key: &str, value: &[u8]) -> Result<(), Error> {
    received(Call::MemorySet, ask(Ask::MemorySet { key, value })).map(|_| ())
}

pub(crate) fn memory_delete(key: &str) -> Result<bool, Error> {
    let reply = ask(Ask::MemoryDelete { key });
    let deleted = reply == Reply::Status(Status::Ok);
    received(Call::MemoryDelete, reply).map(|_| deleted)
}

pub(crate) fn memory_list(prefix: &str) -> Result<Vec<u8>, Error> {
    received(Call::MemoryList, ask(Ask::MemoryList { prefix })).map(Option::unwrap_or_default)
}

pub(crate) fn ai_chat(prompt: &str) -> Result<Vec<u8>, Error> {
    received(Call::AiChat, ask(Ask::AiChat { prompt })).map(Option::unwrap_or_default)
}

pub(crate) fn http_post(url: &str, body: &[u8]) -> Result<Vec<u8>, Error> {
    received(Call::HttpPost, ask(Ask::HttpPost { url, body })).map(Option::unwrap_or_default)
}

pub(crate) fn log(level: Level, message: &[u8]) {
    ask(Ask::Log { level, message: text(message) });
}

pub(crate) fn config_get(key: &str) -> Result<Option<Vec<u8>>, Error> {
    received(Call::ConfigGet, ask(Ask::ConfigGet { key }))
}

pub(crate) fn set_error(message: &[u8]) {
    ask(Ask::SetError { message: text(message) });
}

/// Log lines and error texts are bytes on their way out, as they are in wasm, and UTF-8 all the same.
fn text(message: &[u8]) -> &str {
    str::from_utf8(message).expect("the wrappers hand on text, and cut it at characters' edges")
}

fn received(call: Call, reply: Reply) -> Result<Option<Vec<u8>>, Error> {
    match reply {
        Reply::Bytes(bytes) => Ok(Some(bytes)),
        Reply::Status(status) if status.is_error() => Err(Error::Host { call, code: status.code() }),
        Reply::Status(_) => Ok(None),
    }
}
