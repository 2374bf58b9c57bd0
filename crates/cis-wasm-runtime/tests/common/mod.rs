//! What the tests of this crate share: guests in the text format, run on every compiler of this build.
#![allow(dead_code, unreachable_pub, reason = "every test file is a crate and uses its own part")]

pub mod waiting;

use cis_wasm_host::{Host, InMemory, SkillScope};
use cis_wasm_runtime::{Compiler, Error, LoadSpec, Outcome, State, WasmInstance, WasmRuntime};

/// A skill to load: a module, and what it is loaded with.
#[derive(Clone)]
pub struct Guest {
    pub wasm: Vec<u8>,
    pub spec: LoadSpec,
}

/// A guest with a memory of its own, from its fields in the text format.
#[track_caller]
pub fn guest(fields: &str) -> Guest {
    module(&format!("(module {fields})"))
}

/// A guest from a whole module in the text format.
#[track_caller]
pub fn module(text: &str) -> Guest {
    raw(wat::parse_str(text).unwrap_or_else(|error| panic!("{error}\n{text}")))
}

/// A guest from bytes.
pub fn raw(wasm: Vec<u8>) -> Guest {
    let host = Host::builder().memory(InMemory::new()).build();
    Guest { wasm, spec: LoadSpec::new(SkillScope::new("test".parse().unwrap()), host) }
}

/// Fields of a guest whose event is handled by `body`, which leaves an `i32`.
pub fn on_event(body: &str) -> String {
    format!(
        r#"(memory (export "memory") 1)
           (func (export "skill_on_event") (param $type i32) (param $type_len i32) (param $data i32) (param $len i32)
             (result i32) {body})"#
    )
}

/// Fields of a guest whose event is handled by `body`, which leaves an `i64`.
pub fn on_event_packed(body: &str) -> String {
    on_event(body).replace("(result i32)", "(result i64)")
}

impl Guest {
    pub fn kept(mut self) -> Self {
        self.spec.state = State::Kept;
        self
    }

    pub fn with(mut self, change: impl FnOnce(&mut LoadSpec)) -> Self {
        change(&mut self.spec);
        self
    }

    pub fn load(&self, compiler: Compiler) -> Result<WasmInstance, Error> {
        self.load_with(compiler, true)
    }

    /// Loads it where instances see more than one event, or where they do not.
    pub fn load_with(&self, compiler: Compiler, reuse: bool) -> Result<WasmInstance, Error> {
        let runtime = WasmRuntime::builder().compiler(compiler).reuse(reuse).build().unwrap();
        // A host of its own for every compiler, so that no run sees another's memory.
        runtime.load(&self.wasm, self.spec.clone())
    }

    /// Loads it on every compiler, with instances that are reused and without, and hands each to `check`.
    #[track_caller]
    pub fn loaded(&self, mut check: impl FnMut(WasmInstance)) {
        for compiler in Compiler::ALL {
            for reuse in [true, false] {
                match self.load_with(*compiler, reuse) {
                    Ok(instance) => check(instance),
                    Err(error) => panic!("{}: {error}", compiler.name()),
                }
            }
        }
    }

    /// Refused at load by every compiler, with this code, in words that hold `text`.
    #[track_caller]
    pub fn refused(&self, code: &str, text: &str) {
        for compiler in Compiler::ALL {
            match self.load(*compiler) {
                Ok(_) => panic!("{}: loaded", compiler.name()),
                Err(error) => assert_error(&error, code, text),
            }
        }
    }

    /// Every event fails with this code on every compiler, in words that hold `text`, and uses the same fuel.
    #[track_caller]
    pub fn fails(&self, code: &str, text: &str) {
        let mut fuel = None;
        self.loaded(|instance| {
            for _ in 0..2 {
                let outcome = instance.run("test", b"data");
                assert_error(&outcome.result.unwrap_err(), code, text);
                if code != "deadline_exceeded" && code != "trap_stack_overflow" {
                    assert_eq!(*fuel.get_or_insert(outcome.receipt.fuel), outcome.receipt.fuel);
                }
            }
        });
    }

    /// The event is answered with these bytes on every compiler, with the same receipt.
    #[track_caller]
    pub fn answers(&self, data: &[u8], response: &[u8]) {
        let mut first: Option<Outcome> = None;
        self.loaded(|instance| {
            let outcome = instance.run("test", data);
            match &outcome.result {
                Ok(bytes) => assert_eq!(&bytes[..], response),
                Err(error) => panic!("{error}"),
            }
            let first = first.get_or_insert_with(|| outcome.clone());
            assert_eq!((first.receipt.fuel, first.receipt.ledger), (outcome.receipt.fuel, outcome.receipt.ledger));
        });
    }
}

#[track_caller]
pub fn assert_error(error: &Error, code: &str, text: &str) {
    assert_eq!(error.code(), code, "{error}");
    assert!(error.to_string().contains(text), "`{error}` does not say `{text}`");
}
