//! Skills, built from their source when they are needed.

/// What every guest may import.
const IMPORTS: &str = r#"
    (import "env" "host_memory_get" (func $get (param i32 i32) (result i64)))
    (import "env" "host_memory_set" (func $set (param i32 i32 i32 i32) (result i32)))
    (import "env" "host_memory_delete" (func $delete (param i32 i32) (result i32)))
    (import "env" "host_memory_list" (func $list (param i32 i32) (result i64)))
    (import "env" "host_ai_chat" (func $chat (param i32 i32) (result i64)))
    (import "env" "host_http_post" (func $post (param i32 i32 i32 i32) (result i64)))
    (import "env" "host_log" (func $log (param i32 i32 i32)))
    (import "env" "host_config_get" (func $config (param i32 i32) (result i64)))
    (import "env" "host_set_error" (func $set_error (param i32 i32)))
    (func $pack (param $ptr i32) (param $len i32) (result i64)
      (i64.or (i64.shl (i64.extend_i32_u (local.get $ptr)) (i64.const 32)) (i64.extend_i32_u (local.get $len))))
    (func $status (param i32) (result i64) (i64.extend_i32_u (local.get 0)))
    (func $found_or_not (param i32) (result i32)
      (select (i32.const 0) (local.get 0) (i32.eq (local.get 0) (i32.const 1))))"#;

/// A module with these fields, whose event is handled by `body`. In it, `$type`, `$type_len`, `$data` and `$len` are the
/// event's.
pub(crate) fn module(fields: &str, body: &str) -> Vec<u8> {
    let text = format!(
        r#"(module {IMPORTS}
            (memory (export "memory") 2)
            {fields}
            (func (export "skill_on_event")
              (param $type i32) (param $type_len i32) (param $data i32) (param $len i32) (result i64)
              {body}))"#
    );
    wat::parse_str(&text).unwrap_or_else(|error| panic!("a guest of ours: {error}\n{text}"))
}

/// An allocator that only ever moves forward: enough for one event of a fresh skill.
pub(crate) const BUMP: &str = r#"
    (global $free (mut i32) (i32.const 65536))
    (func (export "cis_alloc") (param $len i32) (result i32)
      (local $ptr i32)
      (local.set $ptr (global.get $free))
      (global.set $free (i32.add (local.get $ptr) (local.get $len)))
      (block $fits
        (br_if $fits (i32.le_u (global.get $free) (i32.mul (memory.size) (i32.const 65536))))
        (drop (memory.grow (i32.add (i32.shr_u (local.get $len) (i32.const 16)) (i32.const 1)))))
      (local.get $ptr))"#;

/// One thing that a [`jack`] does when an event's type begins with a letter.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Deed {
    pub(crate) letter: char,
    body: &'static str,
    /// The errors that it ends with, or nothing when a backend decides that.
    pub(crate) ends: &'static [&'static str],
}

const fn deed(letter: char, body: &'static str, ends: &'static [&'static str]) -> Deed {
    Deed { letter, body, ends }
}

/// Host calls with the event's data as key, prompt or URL. The answer is passed on.
pub(crate) const CALLS: [Deed; 6] = [
    deed('g', "(call $get (local.get $data) (local.get $len))", &[]),
    deed('s', "(call $status (call $set (local.get $data) (local.get $len) (local.get $data) (local.get $len)))", &[]),
    deed('d', "(call $status (call $found_or_not (call $delete (local.get $data) (local.get $len))))", &[]),
    deed('l', "(call $list (local.get $data) (local.get $len))", &[]),
    deed('a', "(call $chat (local.get $data) (local.get $len))", &[]),
    deed('h', "(call $post (local.get $data) (local.get $len) (local.get $type) (local.get $type_len))", &[]),
];

/// What no backend has a part in.
pub(crate) const DEEDS: [Deed; 15] = [
    deed('T', "unreachable", &["trap_unreachable"]),
    deed('O', "(i64.load (i32.const -8))", &["trap_out_of_bounds"]),
    deed('D', "(i64.div_u (i64.const 1) (i64.extend_i32_u (i32.load (i32.const 4))))", &["trap_division_by_zero"]),
    deed('N', "(call_indirect (result i64) (i32.const 1))", &["trap_null_call"]),
    deed('B', "(call_indirect (result i64) (i32.const 9))", &["trap_table_out_of_bounds"]),
    deed('R', "(call $deep (i64.const 1))", &["trap_stack_overflow", "out_of_fuel"]),
    deed('F', "(loop $forever (br $forever)) unreachable", &["out_of_fuel"]),
    deed(
        'G',
        "(loop $more (br_if $more (i32.ne (memory.grow (i32.const 1)) (i32.const -1)))) unreachable",
        &["trap_unreachable", "out_of_fuel"],
    ),
    deed('P', "(call $log (i32.const 1) (i32.const -16) (i32.const 64)) (i64.const 0)", &["bad_pointer"]),
    deed('Z', "(call $pack (i32.const -16) (i32.const 64))", &["bad_pointer"]),
    deed(
        'W',
        "(drop (memory.grow (i32.const 300))) (call $pack (i32.const 16) (i32.const 17000000))",
        &["response_too_large"],
    ),
    deed(
        'L',
        "(loop $more (call $log (i32.const 1) (i32.const 1024) (i32.const 13)) (br $more)) unreachable",
        &["out_of_log_lines"],
    ),
    deed(
        'C',
        "(loop $more (drop (call $config (i32.const 1024) (i32.const 13))) (br $more)) unreachable",
        &["out_of_host_calls"],
    ),
    deed('E', "(call $set_error (i32.const 1024) (i32.const 13)) (call $status (i32.const -77))", &["skill_failed"]),
    deed(
        'U',
        "(drop (call $get (i32.const 2048) (i32.const 3))) (call $status (i32.const -77))",
        &["not_utf8", "skill_failed"],
    ),
];

/// A skill that does what the first letter of the event's type says, or answers with the event's data.
pub(crate) fn jack(fields: &str) -> Vec<u8> {
    let cases: String = CALLS
        .iter()
        .chain(&DEEDS)
        .map(|Deed { letter, body, .. }| {
            format!("(if (i32.eq (local.get $letter) (i32.const {})) (then (return {body})))", *letter as u32)
        })
        .collect();
    module(
        &format!(
            r#"{fields}
            (table 2 funcref)
            (data (i32.const 1024) "it went wrong")
            (data (i32.const 2048) "\ff\fe\fd")
            (func $deep (param i64) (result i64) (i64.add (i64.const 1) (call $deep (local.get 0))))"#
        ),
        &format!(
            "(local $letter i32)
             (if (local.get $type_len) (then (local.set $letter (i32.load8_u (local.get $type)))))
             {cases}
             (call $pack (local.get $data) (local.get $len))"
        ),
    )
}

/// Answers with the event's data.
pub(crate) fn echo() -> Vec<u8> {
    module("", "(call $pack (local.get $data) (local.get $len))")
}

/// Stores a value that it makes itself under the key that is the event's data without its last 12 bytes. Those are a
/// number (8 bytes) and a length (4 bytes): the value is the number, so many bytes that follow from it, and a checksum
/// of all that (FNV-1a, 64 bits).
pub(crate) fn writer() -> Vec<u8> {
    module(
        "",
        "(local $key_len i32) (local $end i32) (local $at i32) (local $state i64) (local $sum i64)
         (local.set $key_len (i32.sub (local.get $len) (i32.const 12)))
         (local.set $state (i64.load align=1 (i32.add (local.get $data) (local.get $key_len))))
         (i64.store (i32.const 2048) (local.get $state))
         (local.set $end (i32.add (i32.const 2056)
           (i32.load align=1 (i32.add (local.get $data) (i32.add (local.get $key_len) (i32.const 8))))))
         (local.set $at (i32.const 2056))
         (block $filled (loop $fill
           (br_if $filled (i32.ge_u (local.get $at) (local.get $end)))
           (local.set $state (i64.add (i64.mul (local.get $state) (i64.const 6364136223846793005)) (i64.const 1442695040888963407)))
           (i64.store8 (local.get $at) (i64.shr_u (local.get $state) (i64.const 56)))
           (local.set $at (i32.add (local.get $at) (i32.const 1)))
           (br $fill)))
         (local.set $sum (i64.const 0xcbf29ce484222325))
         (local.set $at (i32.const 2048))
         (loop $add
           (local.set $sum (i64.mul
             (i64.xor (local.get $sum) (i64.load8_u (local.get $at))) (i64.const 0x100000001b3)))
           (local.set $at (i32.add (local.get $at) (i32.const 1)))
           (br_if $add (i32.lt_u (local.get $at) (local.get $end))))
         (i64.store align=1 (local.get $end) (local.get $sum))
         (call $status (call $set (local.get $data) (local.get $key_len)
           (i32.const 2048) (i32.sub (i32.add (local.get $end) (i32.const 8)) (i32.const 2048))))",
    )
}
