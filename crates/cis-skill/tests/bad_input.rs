//! Everything that can be wrong with a module, a manifest, a guest or a backend: each is a typed error that names its
//! cause, and the manager serves the next event.

mod common;

use cis_skill::wasm::WasmRuntime;
use cis_skill::{
    BackendError, BackendErrorKind, Bytes, Error, Event, Fault, LoadOptions, MemoryBackend, Namespace, Quota,
    SkillManager, async_trait,
};
use common::{echo, load, manager, manager_with, module, on_each_compiler, options, saying, wat, with_manifest};

fn event(data: &str) -> Event {
    Event::new("test", data.to_owned())
}

/// A manager with a skill that works.
fn with_witness(runtime: &WasmRuntime) -> SkillManager {
    let manager = manager(runtime);
    load(&manager, "witness", &echo(), "");
    manager
}

/// The skill that works still does, and nothing runs any more.
#[track_caller]
fn assert_unharmed(manager: &SkillManager) {
    assert_eq!(manager.send_event_blocking("witness", event("well")).unwrap().text().unwrap(), "well");
    assert!(manager.list().iter().all(|info| info.running == 0));
}

#[track_caller]
fn assert_error(error: &Error, code: &str, fault: Fault, text: &str) {
    assert_eq!((error.code(), error.fault()), (code, fault), "{error}");
    assert!(error.to_string().contains(text), "`{text}` is not in: {error}");
}

/// Loading fails with this error, and its name is free afterwards.
#[track_caller]
fn check_load(manager: &SkillManager, wasm: &[u8], code: &str, text: &str) {
    check_load_with(manager, wasm, LoadOptions::default(), code, text);
}

#[track_caller]
fn check_load_with(manager: &SkillManager, wasm: &[u8], options: LoadOptions, code: &str, text: &str) {
    let error = manager.load_wasm("bad", wasm, options).expect_err("the module is refused");
    assert_error(&error, code, Fault::Guest, text);
    assert_eq!(manager.list().len(), 1, "nothing stays behind");
    assert_unharmed(manager);
}

/// An event fails with this error, with a receipt, twice; and the manager goes on.
#[track_caller]
fn check_event(manager: &SkillManager, wasm: &[u8], manifest: &str, code: &str, fault: Fault, text: &str) {
    for state in ["fresh", "kept"] {
        load(manager, "bad", wasm, &format!("state = \"{state}\"\n{manifest}"));
        for count in 1..=2 {
            let error = manager.send_event_blocking("bad", event("data")).expect_err("the event fails");
            assert_error(&error, code, fault, text);
            assert!(error.receipt().is_some(), "every event has a receipt");
            let info = manager.info("bad").unwrap();
            assert_eq!((info.events.failed, info.events.last_error), (count, Some(code)));
        }
        pollster::block_on(manager.unload("bad")).unwrap();
        assert_unharmed(manager);
    }
}

#[test]
fn what_is_no_module_is_refused() {
    on_each_compiler(|runtime| {
        let manager = with_witness(&runtime);
        check_load(&manager, b"", "invalid_module", "not a module");
        check_load(&manager, b"#!/bin/sh\necho hello\n", "invalid_module", "not a module");
        check_load(&manager, b"\x7fELF\x02\x01\x01\0", "invalid_module", "not a module");
        check_load(&manager, b"\0asm\x02\0\0\0", "invalid_module", "not a module");
        // A component is no module.
        check_load(&manager, b"\0asm\x0d\0\x01\0", "invalid_module", "not a module");
        let mut trailing = echo();
        trailing.extend(b"\xff\xff");
        check_load(&manager, &trailing, "invalid_module", "not a module");
    });
}

#[test]
fn a_truncated_module_is_refused_wherever_it_ends() {
    on_each_compiler(|runtime| {
        let manager = with_witness(&runtime);
        let whole = echo();
        let mut complete = 0;
        for end in 0..whole.len() {
            // Cut between two sections, it is a smaller module: one that lacks what a skill must have, or only the names
            // at its end.
            match manager.load_wasm("bad", &whole[..end], LoadOptions::default()) {
                Ok(()) => {
                    complete += 1;
                    assert_eq!(manager.send_event_blocking("bad", event("a")).unwrap().text().unwrap(), "a");
                    pollster::block_on(manager.unload("bad")).unwrap();
                }
                Err(error) => {
                    assert_eq!(error.fault(), Fault::Guest, "cut at {end}: {error}");
                    assert!(["invalid_module", "missing_export"].contains(&error.code()), "cut at {end}: {error}");
                }
            }
        }
        assert_eq!(complete, 1, "without its names");
        assert_unharmed(&manager);
    });
}

#[test]
fn no_changed_byte_brings_the_manager_down() {
    on_each_compiler(|runtime| {
        let manager = with_witness(&runtime);
        let whole = echo();
        let limits = || LoadOptions::default().fuel(1_000_000);
        for at in 0..whole.len() {
            for change in [0x01, 0x80, 0xFF] {
                let mut wasm = whole.clone();
                wasm[at] ^= change;
                // Either it is refused, or it is another module, which then runs or fails.
                if manager.load_wasm("bad", &wasm, limits()).is_ok() {
                    let _ = manager.send_event_blocking("bad", event("data"));
                    pollster::block_on(manager.unload("bad")).unwrap();
                }
            }
        }
        assert_unharmed(&manager);
    });
}

#[test]
fn a_module_that_does_not_keep_the_contract_is_refused() {
    on_each_compiler(|runtime| {
        let manager = with_witness(&runtime);
        const MEMORY: &str = r#"(memory (export "memory") 1)"#;
        const HANDLER: &str = r#"(func (export "skill_on_event") (param i32 i32 i32 i32) (result i32) i32.const 0)"#;
        let check = |fields: &str, code, text| check_load(&manager, &wat(&format!("(module {fields})")), code, text);

        check(HANDLER, "missing_export", "`memory`");
        check(MEMORY, "missing_export", "`skill_on_event`");
        check(&format!(r#"(func (export "memory")) {HANDLER}"#), "missing_export", "`memory`");
        check(
            &format!(r#"{MEMORY} (func (export "skill_on_event") (param i32) (result i32) i32.const 0)"#),
            "bad_export",
            "`skill_on_event`",
        );
        check(&format!(r#"{MEMORY} {HANDLER} (func (export "cis_alloc"))"#), "bad_export", "`cis_alloc`");
        check(
            &format!(r#"(import "env" "host_file_read" (func)) {MEMORY} {HANDLER}"#),
            "unknown_import",
            "`env.host_file_read`",
        );
        check(
            &format!(
                r#"(import "wasi_snapshot_preview1" "fd_write" (func (param i32 i32 i32 i32) (result i32))) {MEMORY} {HANDLER}"#
            ),
            "unknown_import",
            "`wasi_snapshot_preview1.fd_write`",
        );
        check(
            &format!(r#"(import "env" "host_memory_get" (func (param i32) (result i64))) {MEMORY} {HANDLER}"#),
            "bad_import",
            "`host_memory_get` is (func (param i32) (result i64))",
        );
        let newer = format!(r#"{MEMORY} {HANDLER} (func (export "cis_abi_version") (result i32) i32.const 2)"#);
        check(&newer, "unsupported_abi", "version 2");
    });
}

#[test]
fn a_module_that_is_too_large_is_refused() {
    on_each_compiler(|runtime| {
        let manager = with_witness(&runtime);
        check_load(&manager, &vec![0; 64 * 1024 * 1024 + 1], "module_too_large", "bytes");

        let handler = r#"(func (export "skill_on_event") (param i32 i32 i32 i32) (result i32) i32.const 0)"#;
        let memory = wat(&format!(r#"(module (memory (export "memory") 65536) {handler})"#));
        check_load(&manager, &memory, "out_of_memory", "4294967296 bytes");
        let table = wat(&format!(r#"(module (memory (export "memory") 1) (table 4000000 funcref) {handler})"#));
        check_load(&manager, &table, "table_too_large", "4000000 elements");
    });
}

#[test]
fn a_skill_that_does_not_start_is_refused() {
    on_each_compiler(|runtime| {
        let manager = with_witness(&runtime);
        let init = |body: &str| {
            let data = r#"(data (i32.const 1024) "no settings")"#;
            module(&format!(r#"{data} (func (export "skill_init") (result i32) {body})"#), "i64.const 0")
        };
        check_load(&manager, &init("i32.const -40"), "init_failed", "skill_init returned -40");
        let saying_why = "(call $set_error (i32.const 1024) (i32.const 11)) (i32.const -1)";
        check_load(&manager, &init(saying_why), "init_failed", "did not start: no settings");
        check_load(&manager, &init("unreachable"), "trap_unreachable", "panicked or aborted");
        let spinning = init("(loop (br 0)) (i32.const 0)");
        check_load_with(&manager, &spinning, options("bad", "[limits]\nfuel = 1000"), "out_of_fuel", "1000 units");
        check_load(
            &manager,
            &module("(func $start unreachable) (start $start)", "i64.const 0"),
            "trap_unreachable",
            "",
        );
    });
}

#[test]
fn a_bad_manifest_is_refused_with_its_line() {
    on_each_compiler(|runtime| {
        let manager = with_witness(&runtime);
        let check = |manifest: &[u8], text: &str| {
            check_load(&manager, &with_manifest(echo(), manifest), "bad_manifest", text);
        };
        check(b"", "`name` is missing");
        check(
            b"name = \"a\"\nversion = \"1.0.0\"\n[permission]",
            "line 3: unknown key `permission`; did you mean `permissions`?",
        );
        check(b"name = \"a\"\nversion = \"one\"", "line 2: `version`");
        check(b"name = ", "line 1");
        let names_no_place = "[permissions.http]\nallow = [\"https://user@example.com\"]";
        check(
            format!("name = \"a\"\nversion = \"1.0.0\"\n{names_no_place}").as_bytes(),
            "line 4: `permissions.http.allow[0]`",
        );
    });
    let manager = with_witness(&WasmRuntime::new().unwrap());
    for text in [&b"name = \"\xff\""[..], &vec![b'#'; 65 * 1024]] {
        let error = manager.load_wasm("bad", &with_manifest(echo(), text), LoadOptions::default()).unwrap_err();
        assert_eq!(error.fault(), Fault::Guest, "{error}");
    }
    let settings = options("bad", "[config.url]\ntype = \"string\"\nrequired = true");
    let error = manager.load_wasm("bad", &echo(), settings).unwrap_err();
    assert_error(&error, "bad_config", Fault::Caller, "`url` (string) is required");
    assert_unharmed(&manager);
}

#[test]
fn a_pointer_out_of_range_ends_the_event() {
    on_each_compiler(|runtime| {
        let manager = with_witness(&runtime);
        let check = |on_event: &str, text: &str| {
            check_event(&manager, &module("", on_event), "", "bad_pointer", Fault::Guest, text);
        };
        // Behind memory, over its end, around the end of the address space, and with a length that is negative as signed.
        for (ptr, len) in [(0x7FFF_0000_u32, 1), (131_071, 2), (0xFFFF_FFF0, 0x20), (16, 0xFFFF_FFFF), (0, 0x8000_0000)]
        {
            let (ptr, len) = (u32::cast_signed(ptr), u32::cast_signed(len));
            check(&format!("(call $get (i32.const {ptr}) (i32.const {len}))"), "host_memory_get");
            check(&format!("(call $log (i32.const 1) (i32.const {ptr}) (i32.const {len})) (i64.const 0)"), "host_log");
            check(
                &format!("(call $status (call $set (i32.const 8) (i32.const 1) (i32.const {ptr}) (i32.const {len})))"),
                "host_memory_set",
            );
        }
        check("(call $pack (i32.const 131071) (i32.const 2))", "response");
        check("(call $pack (i32.const -16) (i32.const 32))", "response");
        let endless = module("", "(call $pack (i32.const -1) (i32.const -1))");
        check_event(&manager, &endless, "", "response_too_large", Fault::Guest, "4294967295 bytes");
    });
}

#[test]
fn regions_that_overlap_are_copied_as_they_are() {
    on_each_compiler(|runtime| {
        let manager = with_witness(&runtime);
        // Key `ab`, value `bc`: they share a byte. Then the value is read back over the key.
        let overlapping = module(
            r#"(data (i32.const 1024) "abc")"#,
            "(drop (call $set (i32.const 1024) (i32.const 2) (i32.const 1025) (i32.const 2)))
             (call $get (i32.const 1024) (i32.const 2))",
        );
        load(&manager, "overlap", &overlapping, "");
        assert_eq!(manager.send_event_blocking("overlap", event("")).unwrap().text().unwrap(), "bc");
    });
}

#[test]
fn a_key_that_is_not_utf_8_is_an_error_the_guest_is_told() {
    on_each_compiler(|runtime| {
        let manager = with_witness(&runtime);
        let fields = r#"(data (i32.const 1024) "k\ff")"#;
        let get = module(fields, "(call $get (i32.const 1024) (i32.const 2))");
        check_event(&manager, &get, "", "not_utf8", Fault::Guest, "host_memory_get");
        let set =
            module(fields, "(call $status (call $set (i32.const 1024) (i32.const 2) (i32.const 1024) (i32.const 1)))");
        check_event(&manager, &set, "", "not_utf8", Fault::Guest, "host_memory_set");
        let empty = module("", "(call $get (i32.const 1024) (i32.const 0))");
        check_event(&manager, &empty, "", "invalid_argument", Fault::Guest, "the key is empty");
        let denied = module("", "(call $status (call $set (i32.const 8) (i32.const 1) (i32.const 8) (i32.const 1)))");
        check_event(
            &manager,
            &denied,
            "[permissions]\nmemory = \"read\"",
            "denied",
            Fault::Guest,
            "does not let the skill write",
        );
    });
}

/// A guest whose allocator does what it likes.
fn with_allocator(body: &str) -> Vec<u8> {
    wat(&format!(
        r#"(module
            (import "env" "host_memory_get" (func $get (param i32 i32) (result i64)))
            (memory (export "memory") 2)
            (func (export "cis_alloc") (param $len i32) (result i32) {body})
            (func (export "skill_on_event") (param i32 i32 i32 i32) (result i64) (i64.const 0)))"#
    ))
}

#[test]
fn an_allocator_that_lies_ends_the_event() {
    on_each_compiler(|runtime| {
        let manager = with_witness(&runtime);
        let check = |body: &str, code: &str, text: &str| {
            check_event(&manager, &with_allocator(body), "", code, Fault::Guest, text);
        };
        check("i32.const 0", "bad_allocation", "allocator");
        check("i32.const -1", "bad_allocation", "allocator");
        check("i32.const 131070", "bad_allocation", "allocator");
        check("unreachable", "trap_unreachable", "panicked or aborted");
        let limits = "[limits]\nfuel = 100000";
        let spinning = with_allocator("(loop (br 0)) (i32.const 8)");
        check_event(&manager, &spinning, limits, "out_of_fuel", Fault::Guest, "100000");
    });
}

#[test]
fn a_guest_that_traps_or_never_ends_is_stopped() {
    on_each_compiler(|runtime| {
        let manager = with_witness(&runtime);
        let check = |fields: &str, on_event: &str, manifest: &str, code: &str, text: &str| {
            check_event(&manager, &module(fields, on_event), manifest, code, Fault::Guest, text);
        };
        check("", "unreachable", "", "trap_unreachable", "panicked or aborted");
        check("", "(i64.div_s (i64.const 1) (i64.const 0))", "", "trap_division_by_zero", "divided by zero");
        check("", "(i64.load (i32.const 131070))", "", "trap_out_of_bounds", "out of bounds");
        check(
            "(func $down (param i64) (result i64) (i64.add (i64.const 1) (call $down (local.get 0))))",
            "(call $down (i64.const 1))",
            "[limits]\nfuel = 9000000000000000000\ndeadline_ms = 3600000",
            "trap_stack_overflow",
            "call stack",
        );
        check("", "(loop (br 0)) unreachable", "[limits]\nfuel = 1000000", "out_of_fuel", "1000000 units of fuel");
        let hour = "[limits]\nfuel = 9000000000000000000\ndeadline_ms = 50";
        check("", "(loop (br 0)) unreachable", hour, "deadline_exceeded", "50 ms");
        let busy = "(loop (call $log (i32.const 0) (i32.const 8) (i32.const 1)) (br 0)) unreachable";
        check("", busy, "[limits]\nlog_lines = 10", "out_of_log_lines", "limits.log_lines");
        check("", busy, "[limits]\nhost_calls = 5", "out_of_host_calls", "limits.host_calls");
    });
}

#[test]
fn what_a_guest_says_before_it_fails_is_kept() {
    on_each_compiler(|runtime| {
        let manager = with_witness(&runtime);
        let panicking = module(
            r#"(data (i32.const 1024) "index out of bounds")"#,
            "(call $log (i32.const 3) (i32.const 1024) (i32.const 19))
             (call $set_error (i32.const 1024) (i32.const 19))
             unreachable",
        );
        check_event(&manager, &panicking, "", "trap_unreachable", Fault::Guest, "index out of bounds");
        load(&manager, "bad", &panicking, "");
        let error = manager.send_event_blocking("bad", event("")).unwrap_err();
        assert_eq!(error.log()[0].message, "index out of bounds");

        let refusing = module(
            r#"(data (i32.const 1024) "no config")
               (func (export "skill_init") (result i32)
                  (call $log (i32.const 3) (i32.const 1024) (i32.const 9)) (i32.const -3))"#,
            "unreachable",
        );
        let error = manager.load_wasm("refusing", &refusing, LoadOptions::default()).unwrap_err();
        assert_eq!((error.code(), error.log()[0].message.as_str()), ("init_failed", "no config"));

        let failing = module("", "(call $status (i32.const -77))");
        pollster::block_on(manager.unload("bad")).unwrap();
        check_event(&manager, &failing, "", "skill_failed", Fault::Guest, "skill_on_event returned -77");
    });
}

#[test]
fn an_event_above_the_ceilings_is_the_senders_fault() {
    on_each_compiler(|runtime| {
        let manager = with_witness(&runtime);
        for large in [Event::new("t".repeat(257), ""), Event::new("test", vec![0; 16 * 1024 * 1024 + 1])] {
            let error = manager.send_event_blocking("witness", large).unwrap_err();
            assert_error(&error, "event_too_large", Fault::Caller, "more than");
        }
        assert_unharmed(&manager);
    });
}

/// A memory that does to a key what its name says.
struct Faulty;

#[async_trait]
impl MemoryBackend for Faulty {
    async fn get(&self, _namespace: &Namespace, key: &str) -> Result<Option<Bytes>, BackendError> {
        match key {
            "fail" => Err(BackendError::new(BackendErrorKind::Failed, "the disk is on fire")),
            "hang" => std::future::pending().await,
            "slow" => Err(BackendError::new(BackendErrorKind::TimedOut, "the disk did not answer")),
            "huge" => Ok(Some(vec![0; 9 * 1024 * 1024].into())),
            "boom" => panic!("the backend has a bug"),
            _ => Ok(None),
        }
    }

    async fn set(&self, _: &Namespace, _: &str, _: Bytes, _: Quota) -> Result<(), BackendError> {
        Ok(())
    }

    async fn delete(&self, _: &Namespace, _: &str) -> Result<bool, BackendError> {
        Ok(false)
    }

    async fn list(&self, _: &Namespace, _: &str, _: usize) -> Result<Vec<String>, BackendError> {
        // Far more than was asked for.
        Ok(vec!["k".repeat(512); 4096])
    }
}

#[test]
fn a_backend_that_fails_hangs_or_returns_too_much_is_an_error_of_the_backend() {
    on_each_compiler(|runtime| {
        let manager = manager_with(&runtime, Faulty);
        load(&manager, "witness", &echo(), "");
        let check = |key: &str, code: &str, fault: Fault, text: &str| {
            let reading =
                module(&format!(r#"(data (i32.const 1024) "{key}")"#), "(call $get (i32.const 1024) (i32.const 4))");
            // Only the one that hangs is to meet its deadline, however busy the machine is.
            let limits = if key == "hang" { "[limits]\ndeadline_ms = 50" } else { "[limits]\ndeadline_ms = 60000" };
            check_event(&manager, &reading, limits, code, fault, text);
        };
        check("fail", "backend_failed", Fault::Backend, "the disk is on fire");
        check("slow", "timed_out", Fault::Backend, "the disk did not answer");
        check("hang", "deadline_exceeded", Fault::Backend, "host_memory_get");
        check("boom", "backend_failed", Fault::Backend, "the backend has a bug");
        check("huge", "too_large", Fault::Guest, "9437184 bytes");
        let listing = module("", "(call $list (i32.const 1024) (i32.const 0))");
        check_event(&manager, &listing, "", "too_large", Fault::Guest, "key list");

        // The same from an async task, where a hanging backend must not hold up the executor.
        common::tokio_current().block_on(async {
            let reading = module(r#"(data (i32.const 1024) "hang")"#, "(call $get (i32.const 1024) (i32.const 4))");
            load(&manager, "hanging", &reading, "[limits]\ndeadline_ms = 50");
            let hanging = tokio::spawn(manager.send_event("hanging", event("")));
            let witness = manager.send_event("witness", event("well")).await.unwrap();
            assert_eq!(witness.text().unwrap(), "well");
            assert_eq!(hanging.await.unwrap().unwrap_err().code(), "deadline_exceeded");
        });
    });
}

#[test]
fn limits_of_the_manager_hold_whatever_a_manifest_says() {
    on_each_compiler(|runtime| {
        let limits = cis_skill::Limits { fuel: 1_000, ..Default::default() };
        let manager = SkillManager::builder().runtime(runtime).limits(limits).build().unwrap();
        load(&manager, "spin", &module("", "(loop (br 0)) unreachable"), "[limits]\nfuel = 9000000000000000000");
        let error = manager.send_event_blocking("spin", event("")).unwrap_err();
        assert_error(&error, "out_of_fuel", Fault::Guest, "1000 units");
        assert_eq!(manager.info("spin").unwrap().limits.engine.fuel, 1_000);
        load(&manager, "fine", &saying("fine"), "");
        assert_eq!(manager.send_event_blocking("fine", event("")).unwrap().text().unwrap(), "fine");
    });
}
