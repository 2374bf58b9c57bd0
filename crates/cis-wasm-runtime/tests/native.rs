//! Guest code is entered and left by ways of ours: what calls through them, and what traps on them.

mod common;

use async_trait::async_trait;
use bytes::Bytes;
use cis_wasm_host::{BackendError, Host, ImmediateMemory, InMemory, MemoryBackend, Namespace, Quota, Resource};
use cis_wasm_runtime::{Compiler, WasmInstance};
use common::{guest, on_event, on_event_packed};

fn every_compiler(check: impl FnMut(Compiler)) {
    Compiler::ALL.iter().copied().for_each(check);
}

const LOG: &str = r#"(import "env" "host_log" (func $log (param i32 i32 i32)))"#;

#[test]
fn an_import_can_be_called_through_a_table() {
    let body = r#"(call_indirect (type $log_type) (i32.const 1) (i32.const 8) (i32.const 2) (i32.const 0))
                  (call_indirect (type $plain) (i32.const 1))"#;
    let fields = format!(
        r#"(type $log_type (func (param i32 i32 i32))) (type $plain (func (result i32)))
           {LOG} (table 2 funcref) (elem (i32.const 0) $log $own) (func $own (type $plain) (i32.const 0))
           {} (data (i32.const 8) "hi")"#,
        on_event(body)
    );
    every_compiler(|compiler| {
        let skill = guest(&fields).load(compiler).unwrap();
        for _ in 0..2 {
            let outcome = skill.run("e", b"");
            outcome.result.unwrap();
            assert_eq!((outcome.log.len(), &*outcome.log[0].message), (1, "hi"));
        }
        // A type that is not the import's is no way to call it.
        let wrong = fields.replace("(type $log_type) (i32.const 1)", "(type $two) (i32.const 1)");
        let wrong = wrong.replace("(i32.const 8) (i32.const 2) (i32.const 0))", "(i32.const 8) (i32.const 0))");
        let wrong = wrong.replace("(type $plain (func", "(type $two (func (param i32 i32))) (type $plain (func");
        let error = guest(&wrong).load(compiler).unwrap().run("e", b"").result.unwrap_err();
        assert_eq!(error.code(), "trap_bad_signature");
    });
}

#[test]
fn a_reply_is_put_where_the_guest_finds_room() {
    // Writes `key` = the event's data, reads it back, and answers with what it got.
    let body = r#"(drop (call $set (i32.const 8) (i32.const 3) (local.get 2) (local.get 3)))
                  (call $get (i32.const 8) (i32.const 3))"#;
    let fields = |alloc: &str| {
        format!(
            r#"(import "env" "host_memory_get" (func $get (param i32 i32) (result i64)))
               (import "env" "host_memory_set" (func $set (param i32 i32 i32 i32) (result i32)))
               (global $next (mut i32) (i32.const 1024)) (global $asked (mut i32) (i32.const 0))
               (func (export "cis_alloc") (param i32) (result i32) {alloc}) {} (data (i32.const 8) "key")"#,
            on_event_packed(body)
        )
    };
    let bump = r#"(global.get $next) (global.set $next (i32.add (global.get $next) (local.get 0)))"#;
    let nothing = |what: &str| {
        format!(
            r#"(global.set $asked (i32.add (global.get $asked) (i32.const 1)))
               (if (i32.gt_u (global.get $asked) (i32.const 2)) (then {what})) {bump}"#
        )
    };
    every_compiler(|compiler| {
        for kept in [false, true] {
            let load = |alloc: &str| {
                let guest = guest(&fields(alloc));
                if kept { guest.kept() } else { guest }.load(compiler).unwrap()
            };
            let skill = load(bump);
            for data in ["one", "another", ""] {
                assert_eq!(skill.run("e", data.as_bytes()).result.unwrap(), data);
            }
            // The third time it is asked is for the reply.
            for (alloc, code) in [
                ("unreachable", "trap_unreachable"),
                ("(return (i32.const 0))", "bad_allocation"),
                ("(return (i32.const -8))", "bad_allocation"),
            ] {
                let skill = load(&nothing(alloc));
                for _ in 0..2 {
                    assert_eq!(skill.run("e", b"data").result.unwrap_err().code(), code, "{alloc}");
                }
            }
        }
    });
}

#[test]
fn a_host_call_at_the_end_of_the_stack_has_the_hosts_stack() {
    let fields = format!(
        r#"{LOG} (func $deeper (param i32)
             (call $log (i32.const 1) (i32.const 8) (i32.const 2))
             (call $deeper (i32.add (local.get 0) (i32.const 1)))
             (call $log (i32.const 1) (i32.const 8) (i32.const 2)))
           {} (data (i32.const 8) "hi")"#,
        on_event("(call $deeper (i32.const 0)) (i32.const 0)")
    );
    every_compiler(|compiler| {
        let guest = guest(&fields).with(|spec| {
            spec.scope.budget = spec
                .scope
                .budget
                .with(Resource::HostCalls, u64::MAX)
                .with(Resource::LogLines, u64::MAX)
                .with(Resource::LogBytes, u64::MAX)
                .with(Resource::BytesIn, u64::MAX);
        });
        let skill = guest.load(compiler).unwrap();
        for _ in 0..3 {
            let outcome = skill.run("e", b"");
            assert_eq!(outcome.result.unwrap_err().code(), "trap_stack_overflow");
            assert!(outcome.log.len() > 1_000);
        }
    });
}

/// A memory that has a skill say what the value of a key is.
struct Asks {
    skill: WasmInstance,
    values: InMemory,
}

impl ImmediateMemory for Asks {
    fn get_now(&self, _: &Namespace, key: &str) -> Result<Option<Bytes>, BackendError> {
        let outcome = self.skill.run(key, b"");
        Ok(Some(outcome.result.unwrap_or_else(|error| error.code().into())))
    }

    fn set_now(&self, namespace: &Namespace, key: &str, value: Bytes, quota: Quota) -> Result<(), BackendError> {
        self.values.set_now(namespace, key, value, quota)
    }

    fn delete_now(&self, namespace: &Namespace, key: &str) -> Result<bool, BackendError> {
        self.values.delete_now(namespace, key)
    }
}

#[async_trait]
impl MemoryBackend for Asks {
    fn immediate(&self) -> Option<&dyn ImmediateMemory> {
        Some(self)
    }

    async fn get(&self, namespace: &Namespace, key: &str) -> Result<Option<Bytes>, BackendError> {
        self.get_now(namespace, key)
    }

    async fn set(&self, namespace: &Namespace, key: &str, value: Bytes, quota: Quota) -> Result<(), BackendError> {
        self.set_now(namespace, key, value, quota)
    }

    async fn delete(&self, namespace: &Namespace, key: &str) -> Result<bool, BackendError> {
        self.delete_now(namespace, key)
    }

    async fn list(&self, namespace: &Namespace, prefix: &str, max_bytes: usize) -> Result<Vec<String>, BackendError> {
        self.values.list(namespace, prefix, max_bytes).await
    }
}

#[test]
fn a_guest_that_traps_within_a_call_of_another_takes_only_itself_along() {
    let get = r#"(import "env" "host_memory_get" (func $get (param i32 i32) (result i64)))"#;
    // Asks for what the event's data name, twice, and answers with the second answer.
    let asks = format!(
        "{get} {}",
        on_event_packed("(drop (call $get (local.get 2) (local.get 3))) (call $get (local.get 2) (local.get 3))")
    );
    let traps = on_event(
        "(if (i32.eq (local.get 1) (i32.const 4)) (then unreachable)) (loop (br_if 0 (i32.eq (local.get 1) (i32.const 5)))) (i32.const -7)",
    );
    every_compiler(|compiler| {
        let skill = guest(&traps).with(|spec| spec.limits.fuel = 100_000).load(compiler).unwrap();
        let host = Host::builder().memory(Asks { skill, values: InMemory::new() }).build();
        for kept in [false, true] {
            let outer = guest(&asks).with(|spec| spec.host = host.clone());
            let outer = if kept { outer.kept() } else { outer }.load(compiler).unwrap();
            for (key, code) in [("trap", "trap_unreachable"), ("loops", "out_of_fuel"), ("status", "skill_failed")] {
                for _ in 0..2 {
                    assert_eq!(outer.run("e", key.as_bytes()).result.unwrap(), code);
                }
            }
        }
    });
}
