//! What an event costs beside the guest's own work, in nanoseconds: on instances that are set back, on one that is kept, and
//! on instances made for each event. The kinds take turns, so that a busy machine is busy for all of them.
//!
//! ```text
//! cargo run --release --example event_cost -- [ROUNDS]
//! ```

use std::hint::black_box;
use std::time::Instant;

use cis_wasm_host::{Host, InMemory, SkillScope};
use cis_wasm_runtime::{Compiler, LoadSpec, State, WasmInstance, WasmRuntime};

/// The event's own data.
const ECHO: &str =
    "(i64.or (i64.shl (i64.extend_i32_u (local.get 2)) (i64.const 32)) (i64.extend_i32_u (local.get 3)))";

/// An allocator that never gives anything back: what a fresh skill needs.
const BUMP: &str = r#"(global $next (mut i32) (i32.const 1024))
    (func (export "cis_alloc") (param i32) (result i32)
      (global.get $next) (global.set $next (i32.add (global.get $next) (local.get 0))))
    (func (export "cis_free") (param i32 i32) (global.set $next (i32.const 1024)))"#;

/// Writes to one word in each of so many pages of 4 KiB, then leaves nothing.
fn write_pages(pages: u32) -> String {
    format!(
        "(local $at i32) (loop (i32.store offset=65536 (local.get $at) (i32.const 1))
            (br_if 0 (i32.lt_u (local.tee $at (i32.add (local.get $at) (i32.const 4096))) (i32.const {}))))",
        pages * 4096
    )
}

fn guest(parts: &str, body: &str) -> Vec<u8> {
    let text = format!(
        r#"(module (memory (export "memory") 20) {parts}
            (func (export "skill_on_event") (param i32 i32 i32 i32) (result i64) {body}))"#
    );
    wat::parse_str(text).expect("the module is written above")
}

fn load(wasm: &[u8], state: State, reuse: bool) -> WasmInstance {
    let runtime =
        WasmRuntime::builder().compiler(Compiler::Cranelift).reuse(reuse).build().expect("a runtime needs nothing");
    let name = "bench".parse().expect("a fixed name");
    let mut spec = LoadSpec::new(SkillScope::new(name), Host::builder().memory(InMemory::new()).build());
    spec.state = state;
    runtime.load(wasm, spec).expect("the module is written above")
}

struct Measured {
    /// How many threads send events at a time.
    threads: u32,
    name: String,
    skill: WasmInstance,
    data: Vec<u8>,
    events: u32,
    nanos: Vec<f64>,
}

impl Measured {
    fn round(&mut self) {
        let begin = Instant::now();
        std::thread::scope(|scope| {
            for _ in 1..self.threads {
                scope.spawn(|| self.send());
            }
            self.send();
        });
        self.nanos.push(begin.elapsed().as_nanos() as f64 / f64::from(self.events * self.threads));
    }

    fn send(&self) {
        for _ in 0..self.events {
            let outcome = self.skill.run("bench", &self.data);
            assert!(black_box(outcome).result.is_ok(), "{}", self.name);
        }
    }
}

fn main() {
    let rounds: usize = std::env::args().nth(1).and_then(|rounds| rounds.parse().ok()).unwrap_or(40);
    let nothing = guest(BUMP, "(i64.const 0)");
    let echo = guest(BUMP, ECHO);
    let arena = guest("", ECHO);
    let kilobyte = vec![b'x'; 1024];
    let wide: Vec<_> = [1, 4, 16, 64].map(|pages| (pages, guest(BUMP, &(write_pages(pages) + "(i64.const 0)")))).into();
    let mut all = Vec::new();
    let mut add = |name: &str, wasm: &[u8], data: &[u8], events: u32| {
        for (label, state, reuse, events) in [
            ("set back", State::Fresh, true, events),
            ("kept", State::Kept, true, events),
            ("made anew", State::Fresh, false, events / 20),
        ] {
            let skill = load(wasm, state, reuse);
            let name = format!("{name}, {label}");
            all.push(Measured { threads: 1, name, skill, data: data.to_vec(), events, nanos: Vec::new() });
        }
    };
    add("no data", &nothing, b"", 2_000);
    add("echo-1k", &echo, &kilobyte, 2_000);
    add("echo-1k without an allocator", &arena, &kilobyte, 2_000);
    for (pages, wasm) in &wide {
        add(&format!("{pages} pages written"), wasm, b"", 1_000);
    }
    add("echo-1m", &guest("", ECHO), &vec![b'x'; 1 << 20], 20);
    let skill = load(&echo, State::Fresh, true);
    for threads in [1, 2] {
        let (name, skill, data) = (format!("echo-1k, set back, threads: {threads}"), skill.clone(), kilobyte.clone());
        all.push(Measured { threads, name, skill, data, events: 20_000, nanos: Vec::new() });
    }
    for _ in 0..rounds {
        all.iter_mut().for_each(Measured::round);
    }
    for Measured { name, nanos, .. } in &mut all {
        nanos.sort_by(f64::total_cmp);
        println!("{name:45} {:9.0} ns  (best {:.0})", nanos[nanos.len() / 2], nanos[0]);
    }
}
