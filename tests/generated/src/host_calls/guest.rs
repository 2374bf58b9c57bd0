//! The guest: it makes the calls that its event lists.
//!
//! The event is a list of records of 20 bytes: what to do, and four arguments. The guest keeps what its calls return, and
//! answers with that.

use arbitrary::Arbitrary;
use cis_wasm_abi::{EXPORT_ALLOC, EXPORT_FREE, EXPORT_MEMORY, EXPORT_ON_EVENT, IMPORT_MODULE, IMPORTS, ValType};

/// Bytes of a record.
pub(super) const RECORD: usize = 20;
/// The bit of a record's first number that says that its argument 0 counts from the event's data. The next bits are those
/// of the other arguments.
pub(super) const FROM_DATA: u32 = 8;

/// What a record asks for. Below are the imports, by their place in the contract.
pub(super) const GROW: u32 = IMPORTS.len() as u32;
pub(super) const STORE: u32 = GROW + 1;
pub(super) const LOG_LAST: u32 = GROW + 2;
pub(super) const NEXT_ALLOCATION: u32 = GROW + 3;
pub(super) const TRAP: u32 = GROW + 4;
pub(super) const RETURN: u32 = GROW + 5;
pub(super) const END: u32 = GROW + 6;

/// Where the results of calls lie, and of how many there is room for.
const RESULTS: u32 = 1024;
const MOST_RESULTS: u32 = 2048;

/// How the guest gives the host room.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Arbitrary)]
pub(super) enum Allocator {
    /// Not at all: the host adds pages of its own.
    Arena,
    /// One that never gives anything back.
    Bump,
    /// One that answers what a record told it to, and calls the host when something is given back.
    Hostile,
}

impl Allocator {
    /// Whether the guest is told what it gets back.
    pub(super) fn frees(self) -> bool {
        self == Allocator::Hostile
    }
}

/// The guest with this allocator, in the text format.
pub(super) fn text(allocator: Allocator) -> String {
    let imports: String = IMPORTS
        .iter()
        .enumerate()
        .map(|(index, import)| {
            let params = " i32".repeat(import.params.len());
            let result = match import.result {
                None => "",
                Some(ValType::I32) => "(result i32)",
                Some(ValType::I64) => "(result i64)",
            };
            let name = import.name;
            format!("(import \"{IMPORT_MODULE}\" \"{name}\" (func $call{index} (param{params}) {result}))\n")
        })
        .collect();
    let calls: String = IMPORTS
        .iter()
        .enumerate()
        .map(|(index, import)| {
            let arguments: String = ["$a", "$b", "$c", "$d"][..import.params.len()]
                .iter()
                .map(|argument| format!(" (local.get {argument})"))
                .collect();
            let call = format!("(call $call{index}{arguments})");
            let kept = match import.result {
                None => format!("{call} (call $keep (i64.const 0))"),
                Some(ValType::I32) => format!("(call $keep (i64.extend_i32_s {call}))"),
                Some(ValType::I64) => format!("(call $keep {call})"),
            };
            when(index as u32, &kept)
        })
        .collect();
    let log = IMPORTS.iter().position(|import| import.name == "host_log").expect("the contract has a log");
    let others = [
        when(GROW, "(call $keep (i64.extend_i32_s (memory.grow (i32.and (local.get $a) (i32.const 15)))))"),
        when(STORE, "(i32.store8 (local.get $a) (local.get $b))"),
        when(
            LOG_LAST,
            &format!(
                "(call $call{log} (local.get $a) (i32.wrap_i64 (i64.shr_u (global.get $last) (i64.const 32)))
                  (i32.wrap_i64 (global.get $last)))"
            ),
        ),
        when(NEXT_ALLOCATION, "(global.set $next_allocation (local.get $a))"),
        when(TRAP, "unreachable"),
        when(
            RETURN,
            "(return (i64.or (i64.shl (i64.extend_i32_u (local.get $a)) (i64.const 32))
                             (i64.extend_i32_u (local.get $b))))",
        ),
    ]
    .concat();
    let loads: String = ["$a", "$b", "$c", "$d"]
        .iter()
        .enumerate()
        .map(|(index, argument)| {
            let offset = 4 * (index + 1);
            let bit = FROM_DATA + index as u32;
            format!(
                "(local.set {argument} (i32.add (i32.load offset={offset} align=1 (local.get $at))
                   (select (local.get $data) (i32.const 0)
                     (i32.and (i32.shr_u (local.get $op) (i32.const {bit})) (i32.const 1)))))\n"
            )
        })
        .collect();
    let allocator = match allocator {
        Allocator::Arena => String::new(),
        Allocator::Bump => {
            format!("(func (export \"{EXPORT_ALLOC}\") (param i32) (result i32) (local $ptr i32) {BUMP})")
        }
        Allocator::Hostile => format!(
            "(func (export \"{EXPORT_ALLOC}\") (param i32) (result i32) (local $ptr i32)
               (if (global.get $next_allocation) (then (return (global.get $next_allocation)))) {BUMP})
             (func (export \"{EXPORT_FREE}\") (param i32 i32)
               (call $call{log} (i32.const 1) (local.get 0) (local.get 1)))"
        ),
    };
    format!(
        "(module {imports}
           (memory (export \"{EXPORT_MEMORY}\") 1)
           (global $results (mut i32) (i32.const 0))
           (global $last (mut i64) (i64.const 0))
           (global $next_allocation (mut i32) (i32.const 0))
           (global $free (mut i32) (i32.const 32768))
           (func $keep (param $result i64)
             (global.set $last (local.get $result))
             (i64.store offset={RESULTS}
               (i32.shl (i32.rem_u (global.get $results) (i32.const {MOST_RESULTS})) (i32.const 3))
               (local.get $result))
             (global.set $results (i32.add (global.get $results) (i32.const 1))))
           (func (export \"{EXPORT_ON_EVENT}\") (param i32 i32) (param $data i32) (param $len i32) (result i64)
             (local $at i32) (local $op i32) (local $a i32) (local $b i32) (local $c i32) (local $d i32)
             (global.set $results (i32.const 0))
             (global.set $last (i64.const 0))
             (local.set $at (local.get $data))
             (block $done
               (loop $next
                 (br_if $done (i32.gt_u (i32.add (local.get $at) (i32.const {RECORD}))
                                        (i32.add (local.get $data) (local.get $len))))
                 (local.set $op (i32.load align=1 (local.get $at)))
                 {loads}
                 (local.set $op (i32.and (local.get $op) (i32.const 255)))
                 (br_if $done (i32.ge_u (local.get $op) (i32.const {END})))
                 {calls}
                 {others}
                 (local.set $at (i32.add (local.get $at) (i32.const {RECORD})))
                 (br $next)))
             (i64.or (i64.const {packed})
               (i64.extend_i32_u (i32.shl (select (global.get $results) (i32.const {MOST_RESULTS})
                 (i32.lt_u (global.get $results) (i32.const {MOST_RESULTS}))) (i32.const 3)))))
           {allocator})",
        packed = u64::from(RESULTS) << 32,
    )
}

fn when(op: u32, body: &str) -> String {
    format!("(if (i32.eq (local.get $op) (i32.const {op})) (then {body}))\n")
}

/// What an allocator does that takes what comes next, and memory for it.
const BUMP: &str = "
  (local.set $ptr (global.get $free))
  (global.set $free (i32.and (i32.add (i32.add (local.get $ptr) (local.get 0)) (i32.const 7)) (i32.const -8)))
  (if (i32.gt_u (global.get $free) (i32.shl (memory.size) (i32.const 16)))
    (then (drop (memory.grow (i32.add (i32.shr_u (local.get 0) (i32.const 16)) (i32.const 1))))))
  (local.get $ptr)";
