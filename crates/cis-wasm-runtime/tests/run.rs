//! Events on real guests: what goes in, what comes out, and what ends them.

mod common;

use common::{guest, module, on_event, on_event_packed};

/// Fields of an allocator that never gives anything back.
const BUMP: &str = r#"(global $next (mut i32) (i32.const 1024))
    (func (export "cis_alloc") (param i32) (result i32)
      (global.get $next) (global.set $next (i32.add (global.get $next) (local.get 0))))"#;

/// Packs the two `i32` that follow.
fn pack(ptr: &str, len: &str) -> String {
    format!("(i64.or (i64.shl (i64.extend_i32_u {ptr}) (i64.const 32)) (i64.extend_i32_u {len}))")
}

fn echo() -> String {
    on_event_packed(&pack("(local.get $data)", "(local.get $len)"))
}

#[test]
fn an_echo_with_and_without_an_allocator() {
    guest(&echo()).answers(b"hello", b"hello");
    guest(&echo()).answers(b"", b"");
    guest(&format!("{} {BUMP}", echo())).answers(b"hello", b"hello");
    let big = vec![7; 300_000];
    guest(&echo()).answers(&big, &big);
    // A memory without a single page: the arena is all there is, and nothing lies at 0.
    guest(&echo().replace(r#"(export "memory") 1"#, r#"(export "memory") 0"#)).answers(b"hello", b"hello");
}

#[test]
fn a_status_is_a_response_without_bytes() {
    guest(&on_event("(i32.const 0)")).answers(b"x", b"");
    guest(&on_event_packed("(i64.const 0)")).answers(b"x", b"");
    guest(&on_event("(i32.const 5)")).fails("skill_failed", "returned 5");
    guest(&on_event_packed("(i64.const 0xfffffff6)")).fails("skill_failed", "returned -10");
}

#[test]
fn traps_have_stable_codes_and_names() {
    let trap = |body: &str, code: &str| guest(&on_event(&format!("{body} (i32.const 0)"))).fails(code, "");
    trap("unreachable", "trap_unreachable");
    trap("(drop (i32.load (i32.const 0x100000)))", "trap_out_of_bounds");
    trap("(i32.store (i32.const -1) (i32.const 0))", "trap_out_of_bounds");
    trap("(drop (i32.div_s (i32.const 1) (i32.const 0)))", "trap_division_by_zero");
    trap("(drop (i32.div_s (i32.const 0x80000000) (i32.const -1)))", "trap_overflow");
    trap("(drop (i32.trunc_f64_s (f64.const 1e300)))", "trap_overflow");
    trap("(drop (i32.trunc_f64_s (f64.const nan)))", "trap_bad_conversion");
    trap("(memory.fill (i32.const 0) (i32.const 0) (i32.const 0x100001))", "trap_out_of_bounds");
    let table =
        |call: &str| format!("{} (table 2 funcref) (elem (i32.const 0) func $g) (func $g (param i64))", on_event(call));
    guest(&table("(call_indirect (i32.const 1)) (i32.const 0)")).fails("trap_null_call", "");
    guest(&table("(call_indirect (i32.const 0)) (i32.const 0)")).fails("trap_bad_signature", "");
    guest(&table("(call_indirect (i32.const 2)) (i32.const 0)")).fails("trap_table_out_of_bounds", "");
    guest(&format!("{} (func $deep (call $deep))", on_event("(call $deep) (i32.const 0)")))
        .fails("trap_stack_overflow", "call stack");
    // Names are the guest's own, and so are indices where it has none.
    guest(&format!("(func $inner unreachable) {}", on_event("(call $inner) (i32.const 0)")))
        .fails("trap_unreachable", "inner");
}

#[test]
fn a_panic_message_goes_with_the_trap() {
    module(&format!(
        r#"(module (import "env" "host_set_error" (func $set_error (param i32 i32)))
            (data (i32.const 0) "out of cheese") {})"#,
        on_event("(call $set_error (i32.const 0) (i32.const 13)) unreachable")
    ))
    .fails("trap_unreachable", "out of cheese");
}

#[test]
fn limits_end_an_event() {
    let spin = |body: &str| guest(&on_event(&format!("{body} (i32.const 0)")));
    spin("(loop (br 0))").with(|spec| spec.limits.fuel = 1_000_000).fails("out_of_fuel", "1000000");
    spin("(loop (br 0))")
        .with(|spec| {
            spec.limits.deadline = std::time::Duration::from_millis(30);
            spec.limits.fuel = u64::MAX;
        })
        .fails("deadline_exceeded", "30 ms");
    // Growing beyond the cap is not an error of ours: the guest is told -1, as the specification has it.
    guest(&on_event("(i32.add (memory.grow (i32.const 100)) (i32.const 1))"))
        .with(|spec| spec.limits.memory_bytes = 10 * 65_536)
        .answers(b"", b"");
    guest(
        &on_event("(i32.add (table.grow (ref.null func) (i32.const -1)) (i32.const 1))")
            .replace("(memory", "(table 1 funcref) (memory"),
    )
    .answers(b"", b"");
    // The arena lives under the same cap.
    guest(&on_event("(i32.const 0)").replace(r#"(export "memory") 1"#, r#"(export "memory") 10"#))
        .with(|spec| spec.limits.memory_bytes = 10 * 65_536)
        .fails("out_of_memory", "655360");
}

#[test]
fn bulk_operations_pay_for_their_length() {
    let fill = guest(&on_event(
        "(local $n i32) (local.set $n (i32.const 1000))
         (loop (memory.fill (i32.const 0) (i32.const 1) (i32.const 65536))
           (br_if 0 (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))
         (i32.const 0)",
    ));
    fill.loaded(|instance| {
        let fuel = instance.run("test", b"").receipt.fuel;
        assert!((1_000 * 65_536 / 16..2 * 1_000 * 65_536 / 16).contains(&fuel), "{fuel}");
    });
}

#[test]
fn fuel_is_counted_the_same_everywhere() {
    // One unit an instruction: two constants, an addition and a drop, and the constant that is returned.
    guest(&on_event("(drop (i32.add (i32.const 1) (i32.const 2))) (i32.const 0)"))
        .loaded(|instance| assert_eq!(instance.run("test", b"").receipt.fuel, 5));
    guest(&on_event(
        "(local $n i32) (local.set $n (i32.const 10))
         (loop (br_if 0 (local.tee $n (i32.sub (local.get $n) (i32.const 1))))) (i32.const 0)",
    ))
    // Five for each turn, and one for the way over the second of two turns that are paid for at once.
    .loaded(|instance| assert_eq!(instance.run("test", b"").receipt.fuel, 3 + 10 * 5 + 1));
    // Nine turns cost as ten.
    guest(&on_event(
        "(local $n i32) (local.set $n (i32.const 9))
         (loop (br_if 0 (local.tee $n (i32.sub (local.get $n) (i32.const 1))))) (i32.const 0)",
    ))
    .loaded(|instance| assert_eq!(instance.run("test", b"").receipt.fuel, 3 + 10 * 5 + 1));
}

#[test]
fn what_a_run_ends_with_is_paid_for_too() {
    // Each turn of the recursion is a loop, and then a call that never comes back.
    guest(&format!(
        "(func $work (local $i i32) (local.set $i (i32.const 10000))
           (loop (br_if 0 (local.tee $i (i32.sub (local.get $i) (i32.const 1))))) (call $ends))
         (func $ends (call $work) unreachable) {}",
        on_event("(call $work) (i32.const 0)")
    ))
    .with(|spec| spec.limits.fuel = 80_000)
    .fails("out_of_fuel", "80000");
}

#[test]
fn pointers_of_the_guest_are_checked() {
    let call =
        |import: &str, body: &str| module(&format!("(module {import} {})", on_event(&format!("{body} (i32.const 0)"))));
    let log = r#"(import "env" "host_log" (func $log (param i32 i32 i32)))"#;
    call(log, "(call $log (i32.const 1) (i32.const 0x100000) (i32.const 1))").fails("bad_pointer", "host_log: message");
    call(log, "(call $log (i32.const 1) (i32.const -1) (i32.const -1))").fails("bad_pointer", "0xffffffff");
    call(log, "(call $log (i32.const 1) (i32.const 0) (i32.const -1))").fails("bad_pointer", "4294967295 bytes");
    let set = r#"(import "env" "host_memory_set" (func $set (param i32 i32 i32 i32) (result i32)))"#;
    call(set, "(drop (call $set (i32.const 0) (i32.const 4) (i32.const 131070) (i32.const 7)))")
        .fails("bad_pointer", "host_memory_set: value");
    call(set, "(drop (call $set (i32.const 0) (i32.const 0x100000) (i32.const 0) (i32.const 7)))")
        .fails("bad_pointer", "host_memory_set: key");
    // Regions that overlap are two arguments with the same bytes: nothing is wrong with that.
    guest(&format!(
        r#"(import "env" "host_memory_set" (func $set (param i32 i32 i32 i32) (result i32)))
        (data (i32.const 0) "abcdef") {}"#,
        on_event("(call $set (i32.const 0) (i32.const 4) (i32.const 2) (i32.const 4))"),
    ))
    .answers(b"", b"");
    guest(&on_event_packed("(i64.const 0xffffffff00000010)")).fails("bad_pointer", "response");
    guest(&on_event_packed("(i64.const 0x00000001ffffffff)")).fails("response_too_large", "4294967295");
}

#[test]
fn text_that_is_not_utf8_is_refused_with_a_status() {
    let text = |import: &str, body: &str| {
        module(&format!(r#"(module {import} (data (i32.const 0) "\ff\fe") {})"#, on_event(body)))
    };
    text(
        r#"(import "env" "host_memory_set" (func $set (param i32 i32 i32 i32) (result i32)))"#,
        "(call $set (i32.const 0) (i32.const 2) (i32.const 0) (i32.const 2))",
    )
    .fails("not_utf8", "the key is not UTF-8");
}

#[test]
fn allocators_that_misbehave() {
    let alloc = |body: &str| {
        guest(&format!(r#"{} (func (export "cis_alloc") (param i32) (result i32) {body})"#, on_event("(i32.const 0)")))
    };
    alloc("(i32.const 0)").fails("bad_allocation", "gave no memory for 4 bytes");
    alloc("(i32.const 65533)").fails("bad_allocation", "outside of its memory");
    alloc("(i32.const -1)").fails("bad_allocation", "0xffffffff");
    alloc("(i32.const 64)").fails("bad_allocation", "given out before");
    alloc("unreachable").fails("trap_unreachable", "");
    // Answering a call with bytes allocates, and so on, until the host's own stack were used up.
    module(&format!(
        r#"(module (import "env" "host_memory_get" (func $get (param i32 i32) (result i64)))
            (func (export "cis_alloc") (param i32) (result i32)
              (drop (call $get (i32.const 0) (i32.const 1))) (i32.const 64)) {})"#,
        on_event("(i32.const 0)")
    ))
    .fails("bad_allocation", "called host_memory_get");
    alloc("(loop (br 0)) (i32.const 0)").with(|spec| spec.limits.fuel = 5_000).fails("out_of_fuel", "5000");
}

#[test]
fn a_fresh_skill_starts_every_event_from_the_same_state() {
    let counter = r#"(global $n (mut i32) (i32.const 0))
        (func (export "skill_init") (result i32) (i32.store (i32.const 100) (i32.const 40)) (i32.const 0))"#;
    let count = "(i32.store (i32.const 100) (i32.add (i32.load (i32.const 100)) (i32.const 1)))
        (global.set $n (i32.add (global.get $n) (i32.const 1)))
        (i32.add (i32.load (i32.const 100)) (global.get $n))";
    let guest_fields = format!("{} {counter}", on_event(count));
    guest(&guest_fields).fails("skill_failed", "returned 42");
    guest(&guest_fields).kept().loaded(|instance| {
        for returned in [42, 44, 46] {
            let error = instance.run("test", b"").result.unwrap_err();
            assert!(error.to_string().contains(&format!("returned {returned}")), "{error}");
        }
    });
}

#[test]
fn init_runs_once_for_the_world_and_for_every_instance() {
    // skill_init counts itself in the host's memory; the event answers with that count.
    let skill = module(&format!(
        r#"(module
            (import "env" "host_memory_get" (func $get (param i32 i32) (result i64)))
            (import "env" "host_memory_set" (func $set (param i32 i32 i32 i32) (result i32)))
            (import "env" "host_log" (func $log (param i32 i32 i32)))
            (data (i32.const 0) "inits")
            (func (export "skill_init") (result i32)
              (call $log (i32.const 1) (i32.const 0) (i32.const 5))
              (i32.store8 (i32.const 64) (i32.const 0x31))
              (if (i64.ne (call $get (i32.const 0) (i32.const 5)) (i64.const 0))
                (then (i32.store8 (i32.const 64) (i32.const 0x32))))
              (call $set (i32.const 0) (i32.const 5) (i32.const 64) (i32.const 1)))
            {})"#,
        on_event_packed("(call $get (i32.const 0) (i32.const 5))")
    ));
    let runtime = cis_wasm_runtime::WasmRuntime::new().unwrap();
    let instance = runtime.load(&skill.wasm, skill.spec).unwrap();
    assert_eq!(instance.init_log().len(), 1);
    for _ in 0..3 {
        let outcome = instance.run("test", b"");
        assert_eq!(outcome.result.unwrap(), "1");
        assert_eq!((outcome.log.len(), outcome.receipt.ledger.used().of(cis_wasm_host::Resource::HostCalls)), (0, 1));
    }
}

#[test]
fn a_kept_instance_is_not_used_again_after_a_trap() {
    let skill = format!(
        "{} (global $n (mut i32) (i32.const 0))",
        on_event(
            "(global.set $n (i32.add (global.get $n) (i32.const 1)))
             (if (i32.eq (global.get $n) (i32.const 3)) (then unreachable)) (global.get $n)"
        )
    );
    guest(&skill).kept().loaded(|instance| {
        for expected in ["returned 1", "returned 2", "panicked", "returned 1"] {
            let error = instance.run("test", b"").result.unwrap_err();
            assert!(error.to_string().contains(expected), "{error} is not {expected}");
        }
    });
}

#[test]
fn a_kept_skill_gives_back_what_an_event_took() {
    // Counts what is allocated and not freed, and answers with it.
    let counting = r#"(global $live (mut i32) (i32.const 0)) (global $next (mut i32) (i32.const 1024))
        (func (export "cis_alloc") (param i32) (result i32)
          (global.set $live (i32.add (global.get $live) (local.get 0)))
          (global.get $next) (global.set $next (i32.add (global.get $next) (local.get 0))))
        (func (export "cis_free") (param i32 i32)
          (global.set $live (i32.sub (global.get $live) (local.get 1))))"#;
    // Type and data are 4 + 3 bytes while the event is handled, and nothing remains of the events before.
    guest(&format!("{} {counting}", on_event("(global.get $live)"))).kept().loaded(|instance| {
        for _ in 0..3 {
            let error = instance.run("type", b"abc").result.unwrap_err();
            assert!(error.to_string().contains("returned 7"), "{error}");
        }
    });
    // The arena of a guest without an allocator is rewound: a thousand events fit where one does.
    guest(&echo()).kept().with(|spec| spec.limits.memory_bytes = 3 * 65_536).loaded(|instance| {
        for _ in 0..1_000 {
            assert_eq!(instance.run("type", &[1; 65_536]).result.unwrap().len(), 65_536);
        }
    });
}

#[test]
fn events_beyond_the_ceilings_are_the_callers_fault() {
    guest(&echo()).loaded(|instance| {
        let error = instance.run(&"t".repeat(257), b"").result.unwrap_err();
        assert_eq!((error.code(), error.fault().name()), ("event_too_large", "caller"));
        let error = instance.run("t", &vec![0; (16 << 20) + 1]).result.unwrap_err();
        assert_eq!((error.code(), error.fault().name()), ("event_too_large", "caller"));
    });
}

#[test]
fn shutdown_runs_once_and_closes_a_kept_skill() {
    let skill = module(&format!(
        r#"(module (import "env" "host_log" (func $log (param i32 i32 i32)))
            (func (export "skill_shutdown") (call $log (i32.const 1) (i32.const 0x100000) (i32.const 1))) {})"#,
        on_event("(i32.const 0)")
    ));
    skill.kept().loaded(|instance| {
        assert!(instance.run("test", b"").result.is_ok());
        // That it ran shows in its mistake.
        assert_eq!(instance.shutdown().unwrap_err().code(), "bad_pointer");
        assert!(instance.shutdown().is_ok());
        assert_eq!(instance.run("test", b"").result.unwrap_err().code(), "runtime_closed");
    });
}
