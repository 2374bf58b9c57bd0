//! Operations over much memory are done in pieces, and do what the whole does.

mod common;

use common::{Guest, guest, on_event_packed};

const PAGE: usize = 65_536;
const MEMORY: usize = 64 * PAGE;
/// Not a multiple of anything.
const SEGMENT: usize = 600_001;

/// What memory holds at first: so many bytes.
fn pattern(size: usize) -> Vec<u8> {
    (0..size as u64).step_by(8).flat_map(|at| at.wrapping_mul(0x9E37_79B9_7F4A_7C15).to_le_bytes()).collect()
}

/// What the guest makes of its memory.
fn checksum(memory: &[u8]) -> u64 {
    let words = memory.chunks_exact(8).map(|word| u64::from_le_bytes(word.try_into().unwrap()));
    words.fold(0, |sum, word| (sum ^ word).wrapping_mul(0x0100_0000_01b3).rotate_left(9))
}

/// What the passive segment holds: letters.
fn letter(at: usize) -> u8 {
    b'a' + (at * 7 % 26) as u8
}

/// Fills its memory with the pattern, does an operation with the three numbers of its event's data, and answers with a
/// checksum of all its memory.
fn doing(operation: &str, memory: usize) -> Guest {
    let segment: String = (0..SEGMENT).map(|at| char::from(letter(at))).collect();
    let body = format!(
        "(local $a i32) (local $b i32) (local $n i32) (local $at i32) (local $sum i64)
         (local.set $a (i32.load (local.get $data)))
         (local.set $b (i32.load (i32.add (local.get $data) (i32.const 4))))
         (local.set $n (i32.load (i32.add (local.get $data) (i32.const 8))))
         (loop $fill
           (i64.store (local.get $at) (i64.mul
             (i64.extend_i32_u (local.get $at)) (i64.const 0x9E3779B97F4A7C15)))
           (br_if $fill (i32.lt_u (local.tee $at (i32.add (local.get $at) (i32.const 8))) (i32.const {memory}))))
         {operation}
         (local.set $at (i32.const 0))
         (loop $add
           (local.set $sum (i64.rotl (i64.mul
             (i64.xor (local.get $sum) (i64.load (local.get $at))) (i64.const 0x100000001b3)) (i64.const 9)))
           (br_if $add (i32.lt_u (local.tee $at (i32.add (local.get $at) (i32.const 8))) (i32.const {memory}))))
         (i64.store (i32.const 8) (local.get $sum))
         (i64.const 0x0000000800000008)"
    );
    let text =
        on_event_packed(&body).replace(r#"(export "memory") 1"#, &format!(r#"(export "memory") {}"#, memory / PAGE));
    // An allocator of its own, so that no page is added for the event.
    let alloc = r#"(global $free (mut i32) (i32.const 64))
        (func (export "cis_alloc") (param i32) (result i32)
          (global.set $free (i32.add (global.get $free) (i32.const 64))) (global.get $free))"#;
    guest(&format!("{text} {alloc} (data $letters \"{segment}\")"))
}

/// Whether the guest's memory is what `model` makes of the pattern, for these operands, or whether it trapped where the
/// model says `None`.
#[track_caller]
fn check(operation: &str, cases: &[[u32; 3]], model: impl Fn(&mut [u8], [usize; 3]) -> Option<()>) {
    check_in(MEMORY, operation, cases, model);
}

/// The same in a memory of so many bytes.
#[track_caller]
fn check_in(size: usize, operation: &str, cases: &[[u32; 3]], model: impl Fn(&mut [u8], [usize; 3]) -> Option<()>) {
    doing(operation, size).loaded(|instance| {
        for case in cases {
            let data: Vec<u8> = case.iter().flat_map(|number| number.to_le_bytes()).collect();
            let mut memory = pattern(size);
            let expected = model(&mut memory, case.map(|number| number as usize))
                .map(|()| checksum(&memory).to_le_bytes().to_vec());
            match (instance.run("test", &data).result, expected) {
                (Ok(sum), Some(expected)) => assert_eq!(sum, expected, "{operation} {case:?}"),
                (Err(error), None) => assert_eq!(error.code(), "trap_out_of_bounds", "{operation} {case:?}"),
                (came, expected) => panic!("{operation} {case:?}: {came:?} instead of {expected:?}"),
            }
        }
    });
}

const MIB: u32 = 1 << 20;

#[test]
fn copying() {
    let cases = [
        [0, MIB, MIB],
        // Onto itself, a little higher and a little lower, with a last piece and without.
        [MIB + 1, MIB, 2 * MIB],
        [MIB, MIB + 1, 2 * MIB + 3],
        [MIB + 300_000, MIB, 2 * MIB + 3],
        [MIB, MIB + 300_000, 2 * MIB + 3],
        [MIB, MIB, MIB],
        [5, 4, (256 << 10) + 1],
        [4, 5, 256 << 10],
        // Up to the end, and one byte further.
        [2 * MIB, 0, 2 * MIB],
        [2 * MIB + 1, 0, 2 * MIB],
        [0, 2 * MIB + 1, 2 * MIB],
        [u32::MAX - MIB, 0, 2 * MIB],
        [0, u32::MAX - MIB, 2 * MIB],
        [0, 0, u32::MAX],
    ];
    check(COPY, &cases, copied);
}

const COPY: &str = "(memory.copy (local.get $a) (local.get $b) (local.get $n))";
const FILL: &str = "(memory.fill (local.get $a) (local.get $b) (local.get $n))";

fn copied(memory: &mut [u8], [to, from, len]: [usize; 3]) -> Option<()> {
    memory.get(to..to + len)?;
    memory.get(from..from + len)?;
    memory.copy_within(from..from + len, to);
    Some(())
}

fn filled(memory: &mut [u8], [to, with, len]: [usize; 3]) -> Option<()> {
    memory.get_mut(to..to + len)?.fill(with as u8);
    Some(())
}

/// Every short length, and some that are not.
const LENGTHS: std::ops::RangeInclusive<u32> = 0..=130;

/// Where a range of so many bytes begins that ends at an end, of memory or of all addresses, or next to it.
fn edges(len: u32) -> Vec<u32> {
    let memory = PAGE as u32;
    let ends = [memory, 0, 0_u32.wrapping_sub(64), 0_u32.wrapping_sub(128)];
    let beside = |at: u32| [at.wrapping_sub(1), at, at.wrapping_add(1)];
    ends.into_iter().flat_map(|end| [end, end.wrapping_sub(len)]).flat_map(beside).collect()
}

#[test]
fn copying_little_at_every_edge() {
    let cases: Vec<_> = LENGTHS
        .flat_map(|len| edges(len).into_iter().flat_map(move |edge| [[edge, 1_000, len], [1_000, edge, len]]))
        .collect();
    check_in(PAGE, COPY, &cases, copied);
}

#[test]
fn copying_little_onto_itself() {
    let cases: Vec<_> = LENGTHS
        .flat_map(|len| {
            let apart = [0, 1, 2, 3, 4, 7, 8, 9, 15, 16, 31, 32, 63, len / 2, len.saturating_sub(1), len];
            apart.into_iter().flat_map(move |apart| [[1_000 + apart, 1_000, len], [1_000, 1_000 + apart, len]])
        })
        .collect();
    check_in(PAGE, COPY, &cases, copied);
}

#[test]
fn filling_little_at_every_edge() {
    let cases: Vec<_> = LENGTHS
        .flat_map(|len| edges(len).into_iter().chain([1_000]).map(move |at| [at, 0xFFFF_FF00 | (at ^ len), len]))
        .collect();
    check_in(PAGE, FILL, &cases, filled);
}

#[test]
fn filling() {
    let cases = [
        [0, 7, 4 * MIB],
        [1, 0x1FF, 3 * MIB + 1],
        [77, 1, (256 << 10) + 1],
        [77, 1, 256 << 10],
        [77, 1, 0],
        [1, 1, 4 * MIB],
        [u32::MAX - MIB, 1, 2 * MIB],
    ];
    check(FILL, &cases, filled);
}

#[test]
fn initialising() {
    let whole = SEGMENT as u32;
    let cases = [
        [MIB, 0, whole],
        [MIB, 1, whole - 1],
        [3, 100_000, 400_000],
        [MIB, 1, whole],
        [4 * MIB - 500_000, 0, 500_000],
        [4 * MIB - 500_000, 0, 500_001],
    ];
    let model = |memory: &mut [u8], [to, from, len]: [usize; 3]| {
        if from + len > SEGMENT {
            return None;
        }
        for (at, byte) in memory.get_mut(to..to + len)?.iter_mut().enumerate() {
            *byte = letter(from + at);
        }
        Some(())
    };
    check("(memory.init $letters (local.get $a) (local.get $b) (local.get $n))", &cases, model);
    // A segment that was given up has no bytes, however many it had.
    check(
        "(data.drop $letters) (memory.init $letters (local.get $a) (local.get $b) (local.get $n))",
        &[[0, 0, 500_000], [0, 0, 1], [0, 0, 0]],
        |_, [_, _, len]| (len == 0).then_some(()),
    );
}

#[test]
fn where_nothing_leads_to_them() {
    guest(&on_event_packed(
        "(loop (br_if 0 (i32.const 0)))
         (return (i64.const 0))
         (memory.fill (i32.const 0) (i32.const 0) (i32.const 65536))
         (memory.copy (i32.const 0) (i32.const 0) (i32.const 65536))",
    ))
    .answers(b"", b"");
}

#[test]
fn paying() {
    // However it is split, a megabyte costs as much as sixteen times 64 KiB.
    let filling = |len: u32, turns: u32| {
        let body = format!(
            "(local $n i32) (local.set $n (i32.const {turns}))
             (loop (memory.fill (i32.const 0) (i32.const 1) (i32.const {len}))
               (br_if 0 (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))
             (i64.const 0)"
        );
        guest(&on_event_packed(&body).replace(r#"(export "memory") 1"#, r#"(export "memory") 16"#))
    };
    let fuel = |guest: Guest| {
        let mut fuel = Vec::new();
        guest.loaded(|instance| fuel.push(instance.run("test", b"").receipt.fuel));
        assert!(fuel.windows(2).all(|pair| pair[0] == pair[1]), "{fuel:?}");
        fuel[0]
    };
    let (one, sixteen) = (fuel(filling(1 << 20, 100)), fuel(filling(65_536, 1_600)));
    let per_turn = (sixteen - one) / 1_500;
    assert_eq!(one, sixteen - 1_500 * per_turn, "only the turns differ");
    // What the runtime itself adds to such an operation is paid for too.
    assert!((5..100).contains(&per_turn), "{per_turn}");
}
