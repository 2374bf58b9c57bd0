//! Guests built from source, and hosts to run them against.
#![allow(dead_code, reason = "every test file uses a part of this")]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use cis_skill::wasm::{Compiler, WasmRuntime};
use cis_skill::{
    BackendError, Bytes, Host, InMemory, LoadOptions, Manifest, MemoryBackend, Namespace, Quota, SkillManager,
    async_trait,
};
use tokio::sync::Semaphore;

/// Every compiler that this build has.
pub(crate) const COMPILERS: &[Compiler] = &[
    Compiler::Cranelift,
    #[cfg(feature = "singlepass")]
    Compiler::Singlepass,
];

/// Runs a case on a runtime of each compiler.
#[track_caller]
pub(crate) fn on_each_compiler(case: impl Fn(WasmRuntime)) {
    for compiler in COMPILERS {
        println!("on {compiler:?}");
        case(WasmRuntime::builder().compiler(*compiler).build().unwrap());
    }
}

/// A manager with nothing but a memory.
pub(crate) fn manager(runtime: &WasmRuntime) -> SkillManager {
    manager_with(runtime, InMemory::new())
}

/// A manager with this memory.
pub(crate) fn manager_with(runtime: &WasmRuntime, memory: impl MemoryBackend) -> SkillManager {
    SkillManager::builder().runtime(runtime.clone()).host(Host::builder().memory(memory).build()).build().unwrap()
}

/// Loads under a name, with a manifest's text behind `name` and `version` lines.
pub(crate) fn load(manager: &SkillManager, name: &str, wasm: &[u8], manifest: &str) {
    manager.load_wasm(name, wasm, options(name, manifest)).unwrap();
}

/// Options with a manifest.
pub(crate) fn options(name: &str, manifest: &str) -> LoadOptions {
    let manifest: Manifest = format!("name = \"{name}\"\nversion = \"1.0.0\"\n{manifest}").parse().unwrap();
    LoadOptions::default().manifest(manifest)
}

/// A module with every import the tests use, two pages of memory, an allocator that only moves forward, and `body`.
///
/// In the body, `$type`, `$type_len`, `$data` and `$data_len` are the event's; `$pack` packs bytes, `$status` a status.
pub(crate) fn module(fields: &str, on_event: &str) -> Vec<u8> {
    wat(&format!(
        r#"(module
            (import "env" "host_memory_get" (func $get (param i32 i32) (result i64)))
            (import "env" "host_memory_set" (func $set (param i32 i32 i32 i32) (result i32)))
            (import "env" "host_memory_delete" (func $delete (param i32 i32) (result i32)))
            (import "env" "host_memory_list" (func $list (param i32 i32) (result i64)))
            (import "env" "host_log" (func $log (param i32 i32 i32)))
            (import "env" "host_set_error" (func $set_error (param i32 i32)))
            (import "env" "host_config_get" (func $config (param i32 i32) (result i64)))
            (memory (export "memory") 2)
            (global $free (mut i32) (i32.const 65536))
            (func $alloc (export "cis_alloc") (param $len i32) (result i32)
                (global.get $free)
                (global.set $free (i32.add (global.get $free) (local.get $len))))
            (func $pack (param $ptr i32) (param $len i32) (result i64)
                (i64.or (i64.shl (i64.extend_i32_u (local.get $ptr)) (i64.const 32)) (i64.extend_i32_u (local.get $len))))
            (func $status (param $status i32) (result i64) (i64.extend_i32_u (local.get $status)))
            {fields}
            (func (export "skill_on_event")
                (param $type i32) (param $type_len i32) (param $data i32) (param $data_len i32) (result i64)
                {on_event}))"#
    ))
}

/// A module from its text.
#[track_caller]
pub(crate) fn wat(text: &str) -> Vec<u8> {
    wat::parse_str(text).unwrap_or_else(|error| panic!("{error}"))
}

/// Answers with the event's data.
pub(crate) fn echo() -> Vec<u8> {
    module("", "(call $pack (local.get $data) (local.get $data_len))")
}

/// Answers with a text.
pub(crate) fn saying(text: &str) -> Vec<u8> {
    let len = text.len();
    module(&format!("(data (i32.const 1024) \"{text}\")"), &format!("(call $pack (i32.const 1024) (i32.const {len}))"))
}

/// Counts its events in a global and answers with the count as one letter: `A` for the first.
pub(crate) fn counting() -> Vec<u8> {
    module(
        "(global $count (mut i32) (i32.const 64))",
        "(global.set $count (i32.add (global.get $count) (i32.const 1)))
         (i32.store8 (i32.const 1024) (global.get $count))
         (call $pack (i32.const 1024) (i32.const 1))",
    )
}

/// Reads the memory key `gate`, for which [`Gate`] lets it wait, then answers with the event's data.
pub(crate) fn waiting() -> Vec<u8> {
    module(
        r#"(data (i32.const 1024) "gate")"#,
        "(drop (call $get (i32.const 1024) (i32.const 4)))
         (call $pack (local.get $data) (local.get $data_len))",
    )
}

/// Appends the event's data to the memory key `log`, and answers with what the key then holds.
pub(crate) fn appending() -> Vec<u8> {
    module(
        r#"(data (i32.const 1024) "log")
           (func $ptr (param $packed i64) (result i32) (i32.wrap_i64 (i64.shr_u (local.get $packed) (i64.const 32))))"#,
        "(local $old i64)
         (local $len i32)
         (local.set $old (call $get (i32.const 1024) (i32.const 3)))
         (if (i32.ne (call $ptr (local.get $old)) (i32.const 0)) (then
            (local.set $len (i32.wrap_i64 (local.get $old)))
            (memory.copy (i32.const 2048) (call $ptr (local.get $old)) (local.get $len))))
         (memory.copy (i32.add (i32.const 2048) (local.get $len)) (local.get $data) (local.get $data_len))
         (local.set $len (i32.add (local.get $len) (local.get $data_len)))
         (drop (call $set (i32.const 1024) (i32.const 3) (i32.const 2048) (local.get $len)))
         (call $pack (i32.const 2048) (local.get $len))",
    )
}

/// A module with a manifest's text in its custom section.
pub(crate) fn with_manifest(mut wasm: Vec<u8>, manifest: &[u8]) -> Vec<u8> {
    fn leb128(mut number: usize, out: &mut Vec<u8>) {
        loop {
            let low = (number & 0x7F) as u8;
            number >>= 7;
            out.push(if number == 0 { low } else { low | 0x80 });
            if number == 0 {
                return;
            }
        }
    }
    let name = b"cis.skill.manifest";
    let mut body = Vec::new();
    leb128(name.len(), &mut body);
    body.extend_from_slice(name);
    body.extend_from_slice(manifest);
    wasm.push(0);
    leb128(body.len(), &mut wasm);
    wasm.extend(body);
    wasm
}

/// A memory on which reading the key `gate` waits until the test opens it.
#[derive(Clone)]
pub(crate) struct Gate {
    memory: Arc<InMemory>,
    passes: Arc<Semaphore>,
    arrived: Arc<AtomicUsize>,
}

impl Gate {
    pub(crate) fn closed() -> Self {
        let (memory, passes) = (Arc::new(InMemory::new()), Arc::new(Semaphore::new(0)));
        Gate { memory, passes, arrived: Arc::default() }
    }

    /// Lets this many events pass.
    pub(crate) fn open(&self, events: usize) {
        self.passes.add_permits(events);
    }

    /// Waits until this many events have come to the gate, since the test began.
    pub(crate) fn await_arrivals(&self, events: usize) {
        eventually(|| self.arrived.load(Ordering::SeqCst) >= events);
    }
}

#[async_trait]
impl MemoryBackend for Gate {
    async fn get(&self, namespace: &Namespace, key: &str) -> Result<Option<Bytes>, BackendError> {
        if key == "gate" {
            self.arrived.fetch_add(1, Ordering::SeqCst);
            self.passes.acquire().await.expect("the gate is never taken down").forget();
        }
        self.memory.get(namespace, key).await
    }

    async fn set(&self, namespace: &Namespace, key: &str, value: Bytes, quota: Quota) -> Result<(), BackendError> {
        self.memory.set(namespace, key, value, quota).await
    }

    async fn delete(&self, namespace: &Namespace, key: &str) -> Result<bool, BackendError> {
        self.memory.delete(namespace, key).await
    }

    async fn list(&self, namespace: &Namespace, prefix: &str, max_bytes: usize) -> Result<Vec<String>, BackendError> {
        self.memory.list(namespace, prefix, max_bytes).await
    }
}

/// Waits until something that must come true has. A test that waits here for ever is one that failed.
#[track_caller]
pub(crate) fn eventually(is_so: impl Fn() -> bool) {
    while !is_so() {
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// A multi-threaded async runtime.
pub(crate) fn tokio_threads() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(4).build().unwrap()
}

/// A single-threaded async runtime.
pub(crate) fn tokio_current() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().build().unwrap()
}
