//! How long an event that computes for long keeps the thread that polls its future: by the clock on the wall and by the
//! processor time of that thread, for a skill's first events, for those after, when the runtime has learnt that they are long,
//! and for one that is long after others of its type were short, when it has as much fuel as it ever gets. On a busy machine the
//! clock on the wall counts others' turns too, and on a virtual one the processor's time some of its host's. So beside them stands,
//! as often as an event was sent, how long it takes to compute for 80 us and wake a thread, without anything of the runtime's.
//!
//! ```text
//! cargo run --release --all-features --example polls -- [EVENTS] [MILLISECONDS] [WHAT IT DOES]
//! ```
//!
//! Invariant: the one unsafe call writes to a local of the right type.

use std::future::Future;
use std::hint::black_box;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use bytes::Bytes;
use cis_wasm_host::{Host, SkillScope};
use cis_wasm_runtime::{Compiler, LoadSpec, WasmInstance, WasmRuntime};

/// So many events of a skill at the most begin on the thread that polls them before the runtime has learnt.
const FIRST: usize = 4;
/// How often a skill is loaded anew for its first events.
const LOADS: usize = 25;
/// So many short events come before a long one, and take so long.
const SHORT: (usize, f64) = (20, 40e-6);
/// How long the loop takes that stands beside it all, in seconds.
const OWN: f64 = 80e-6;

/// What is computed, so many times as the event's data says.
const LOADS_OF_WORK: [(&str, &str); 8] = [
    ("adds", "(local.set $sum (i64.add (i64.xor (local.get $sum) (i64.extend_i32_u (local.get $n))) (i64.const 3)))"),
    ("divides", "(local.set $sum (i64.div_u (i64.const -1) (i64.or (local.get $sum) (i64.const 1))))"),
    (
        "takes roots",
        "(local.set $sum (i64.trunc_sat_f64_u (f64.sqrt (f64.div (f64.const 1e300)
            (f64.add (f64.const 2) (f64.convert_i64_u (local.get $sum)))))))",
    ),
    (
        "reads at random",
        "(local.set $sum (i64.load (i32.and (i32.const 0x1fffff8) (i32.add
            (i32.mul (local.get $n) (i32.const -1640531527)) (i32.wrap_i64 (local.get $sum))))))",
    ),
    (
        "writes to new pages",
        "(i64.store (i32.and (i32.const 0x1fff000) (i32.mul (local.get $n) (i32.const 4096))) (local.get $sum))",
    ),
    (
        "writes to 1,900 pages",
        "(i64.store (i32.mul (i32.rem_u (local.get $n) (i32.const 1900)) (i32.const 4096)) (local.get $sum))",
    ),
    ("recurses", "(local.set $sum (i64.add (local.get $sum) (call $deep (i32.const 5000))))"),
    ("fills memory", "(memory.fill (i32.const 65536) (local.get $n) (i32.const 100000))"),
];

fn guest(work: &str) -> Vec<u8> {
    let text = format!(
        r#"(module (memory (export "memory") 513)
            (func $deep (param i32) (result i64)
              (if (result i64) (local.get 0)
                (then (i64.add (i64.const 1) (call $deep (i32.sub (local.get 0) (i32.const 1)))))
                (else (i64.const 0))))
            (func (export "skill_on_event") (param i32 i32 i32 i32) (result i64) (local $n i32) (local $sum i64)
              (local.set $n (i32.load (local.get 2)))
              (loop $again {work}
                (br_if $again (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))
              (i64.store (i32.const 8) (local.get $sum)) (i64.const 0x800000008)))"#
    );
    wat::parse_str(text).expect("the module is written above")
}

fn load(runtime: &WasmRuntime, wasm: &[u8]) -> WasmInstance {
    let mut spec = LoadSpec::new(SkillScope::new("polls".parse().expect("a fixed name")), Host::builder().build());
    spec.limits.fuel = u64::MAX;
    spec.limits.deadline = Duration::from_secs(60);
    runtime.load(wasm, spec).expect("the module is written above")
}

/// What stands beside the runtime: a loop, and a thread that waits to be woken.
struct Beside {
    times: u32,
    thread: Thread,
    took: Vec<Duration>,
}

impl Beside {
    fn new() -> Self {
        let least = (0..100).map(|_| own_loop(10_000)).min().unwrap_or_default();
        let times = (10_000.0 / least.as_secs_f64() * OWN) as u32;
        let waits = thread::spawn(|| {
            loop {
                thread::park();
            }
        });
        Beside { times, thread: waits.thread().clone(), took: Vec::new() }
    }

    fn go(&mut self) {
        let began = processor_time();
        own_loop(self.times);
        self.thread.unpark();
        self.took.push(processor_time() - began);
    }
}

/// Computes something, so many times, and says how much of a processor's time that took.
fn own_loop(times: u32) -> Duration {
    let began = processor_time();
    black_box((0..times).fold(1_u64, |sum, n| black_box(sum ^ u64::from(n)).rotate_left(7)));
    processor_time() - began
}

/// What this thread has had of a processor.
fn processor_time() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the kernel writes one `timespec`, which `time` has room for.
    let result = unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &mut time) };
    assert_eq!(result, 0, "every thread has this clock");
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// Wakes the thread that waits.
struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// The longest poll of each event, on the wall and on the processor.
#[derive(Default)]
struct Longest {
    wall: Vec<Duration>,
    processor: Vec<Duration>,
}

impl Longest {
    /// Sends an event and waits for its end.
    fn send(&mut self, skill: &WasmInstance, times: u32) {
        let waker = Waker::from(Arc::new(Unpark(thread::current())));
        let mut event = pin!(skill.handle("compute", Bytes::copy_from_slice(&times.to_le_bytes())));
        let (mut wall, mut processor) = (Duration::ZERO, Duration::ZERO);
        loop {
            let (began, began_processor) = (Instant::now(), processor_time());
            let polled = event.as_mut().poll(&mut Context::from_waker(&waker));
            processor = processor.max(processor_time() - began_processor);
            wall = wall.max(began.elapsed());
            match polled {
                Poll::Ready(outcome) => {
                    outcome.result.unwrap_or_else(|error| panic!("{error}"));
                    break;
                }
                Poll::Pending => thread::park(),
            }
        }
        self.wall.push(wall);
        self.processor.push(processor);
    }
}

/// Median, 99th part of a hundred, and the most, in microseconds.
fn row(times: &mut [Duration]) -> String {
    times.sort();
    let at = |part: f64| times[((times.len() - 1) as f64 * part).round() as usize].as_secs_f64() * 1e6;
    format!("{:.0} / {:.0} / {:.0}", at(0.5), at(0.99), at(1.0))
}

fn main() {
    let mut args = std::env::args().skip(1);
    let mut number = |or| args.next().map_or(or, |arg| arg.parse::<usize>().expect("a number"));
    let (events, millis) = (number(100), number(100));
    let only = args.next();
    let wanted = |name: &str| only.as_ref().is_none_or(|only| name.contains(only.as_str()));
    println!("median / 99 % / longest of {events} events of {millis} ms, in us");
    println!(
        "| compiler | what it does | first: processor, wall | after short ones: processor, wall | later: processor, wall | beside |"
    );
    println!("|---|---|---|---|---|---|");
    let mut beside = Beside::new();
    for compiler in Compiler::ALL {
        let runtime = WasmRuntime::builder().compiler(*compiler).build().expect("a runtime needs nothing");
        for (name, work) in LOADS_OF_WORK.into_iter().filter(|(name, _)| wanted(name)) {
            let wasm = guest(work);
            let skill = load(&runtime, &wasm);
            // So often does it what an event of the length that was asked for does.
            let mut times: u32 = 1_000;
            let second = loop {
                let begin = processor_time();
                skill.run("compute", &times.to_le_bytes()).result.unwrap_or_else(|error| panic!("{name}: {error}"));
                let took = processor_time() - begin;
                if took > Duration::from_millis(5) {
                    break f64::from(times) / took.as_secs_f64();
                }
                times *= 2;
            };
            let times = (second * millis as f64 / 1e3) as u32;
            let short = (second * SHORT.1).max(1.0) as u32;
            let [mut first, mut after, mut later] = [(); 3].map(|()| Longest::default());
            for _ in 0..LOADS.min(events.div_ceil(FIRST)) {
                let skill = load(&runtime, &wasm);
                (0..FIRST).for_each(|_| {
                    first.send(&skill, times);
                    beside.go();
                });
                let skill = load(&runtime, &wasm);
                (0..SHORT.0).for_each(|_| Longest::default().send(&skill, short));
                after.send(&skill, times);
                beside.go();
            }
            let skill = load(&runtime, &wasm);
            (0..FIRST).for_each(|_| Longest::default().send(&skill, times));
            (0..events).for_each(|_| {
                later.send(&skill, times);
                beside.go();
            });
            let columns = [first, after, later]
                .map(|mut longest| format!("{}, {}", row(&mut longest.processor), row(&mut longest.wall)));
            println!(
                "| {} | {name} | {} | {} |",
                compiler.name(),
                columns.join(" | "),
                row(&mut std::mem::take(&mut beside.took))
            );
        }
    }
}
