//! What one event costs on the runtime's blocking entry point, on the calling thread.
//!
//! Compare figures of one run with each other only: the machine is shared.

use std::hint::black_box;

use cis_wasm_host::{Host, InMemory, SkillScope};
use cis_wasm_runtime::{Compiler, LoadSpec, State, WasmInstance, WasmRuntime};
use criterion::{Criterion, criterion_group, criterion_main};

/// Answers with the event's own data.
const ECHO: &str = r#"(module (memory (export "memory") 1)
    (global $next (mut i32) (i32.const 1024))
    (func (export "cis_alloc") (param i32) (result i32)
      (global.get $next) (global.set $next (i32.add (global.get $next) (local.get 0))))
    (func (export "cis_free") (param i32 i32) (global.set $next (i32.const 1024)))
    (func (export "skill_on_event") (param i32 i32 i32 i32) (result i64)
      (i64.or (i64.shl (i64.extend_i32_u (local.get 2)) (i64.const 32)) (i64.extend_i32_u (local.get 3)))))"#;

/// Makes a thousand small host calls.
const HOST_1000: &str = r#"(module (memory (export "memory") 1)
    (import "env" "host_memory_get" (func $get (param i32 i32) (result i64)))
    (data (i32.const 16) "some key")
    (func (export "skill_on_event") (param i32 i32 i32 i32) (result i32) (local $n i32)
      (local.set $n (i32.const 1000))
      (loop
        (drop (call $get (i32.const 16) (i32.const 8)))
        (br_if 0 (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))
      (i32.const 0)))"#;

/// Recursion: a call and a handful of instructions each time.
const FIB_25: &str = r#"(module (memory (export "memory") 1)
    (func $fib (param i32) (result i32)
      (if (result i32) (i32.lt_u (local.get 0) (i32.const 2))
        (then (local.get 0))
        (else (i32.add (call $fib (i32.sub (local.get 0) (i32.const 1)))
                       (call $fib (i32.sub (local.get 0) (i32.const 2)))))))
    (func (export "skill_on_event") (param i32 i32 i32 i32) (result i32)
      (drop (call $fib (i32.const 25))) (i32.const 0)))"#;

fn load(compiler: Compiler, text: &str, state: State) -> WasmInstance {
    let wasm = wat::parse_str(text).expect("the module is written above");
    let runtime = WasmRuntime::builder().compiler(compiler).build().expect("a runtime needs nothing");
    let name = "bench".parse().expect("a fixed name");
    let mut spec = LoadSpec::new(SkillScope::new(name), Host::builder().memory(InMemory::new()).build());
    spec.state = state;
    runtime.load(&wasm, spec).expect("the module is written above")
}

fn events(criterion: &mut Criterion) {
    for (name, text, data) in
        [("echo-1k", ECHO, vec![b'x'; 1024]), ("host-1000", HOST_1000, vec![]), ("fib-25", FIB_25, vec![])]
    {
        let mut group = criterion.benchmark_group(name);
        for compiler in Compiler::ALL {
            for (state, label) in [(State::Fresh, "fresh"), (State::Kept, "kept")] {
                let skill = load(*compiler, text, state);
                group.bench_function(format!("{}/{label}", compiler.name()), |bencher| {
                    bencher.iter(|| black_box(skill.run("bench", &data).result.is_ok()));
                });
            }
        }
        group.finish();
    }
}

criterion_group!(benches, events);
criterion_main!(benches);
