//! No NaN tells compilers apart: what an operation makes of one is the canonical one, wherever it then goes.

use cis_wasm_runtime::{Compiler, WasmRuntime};

/// Operations that the specification lets answer with any NaN, with the types of argument and result.
const OPERATIONS: [(&str, usize, &str, &str); 22] = [
    ("f32.add", 2, "f32", "f32"),
    ("f32.sub", 2, "f32", "f32"),
    ("f32.mul", 2, "f32", "f32"),
    ("f32.div", 2, "f32", "f32"),
    ("f32.min", 2, "f32", "f32"),
    ("f32.max", 2, "f32", "f32"),
    ("f32.sqrt", 1, "f32", "f32"),
    ("f32.ceil", 1, "f32", "f32"),
    ("f32.floor", 1, "f32", "f32"),
    ("f32.trunc", 1, "f32", "f32"),
    ("f32.nearest", 1, "f32", "f32"),
    ("f64.add", 2, "f64", "f64"),
    ("f64.sub", 2, "f64", "f64"),
    ("f64.mul", 2, "f64", "f64"),
    ("f64.div", 2, "f64", "f64"),
    ("f64.min", 2, "f64", "f64"),
    ("f64.max", 2, "f64", "f64"),
    ("f64.sqrt", 1, "f64", "f64"),
    ("f64.ceil", 1, "f64", "f64"),
    ("f64.nearest", 1, "f64", "f64"),
    ("f64.promote_f32", 1, "f32", "f64"),
    ("f32.demote_f64", 1, "f64", "f32"),
];

/// Ways to the place where the bits are looked at. `X` is the value, `T` its type and `I` the integer of its size.
const WAYS: [&str; 11] = [
    "(T.store (i32.const 64) X)",
    "(I.store (i32.const 64) (I.reinterpret_T X))",
    "(local.set $T X) (T.store (i32.const 64) (local.get $T))",
    "(I.store (i32.const 64) (I.reinterpret_T (local.tee $T X)))",
    "(global.set $T X) (T.store (i32.const 64) (global.get $T))",
    "(T.store (i32.const 64) (call $same_T X))",
    "(I.store (i32.const 64) (call $bits_T X))",
    "(T.store (i32.const 64) (select X (T.const 0) (i32.const 1)))",
    "(T.store (i32.const 64) (block (result T) (br 0 X)))",
    "(T.store (i32.const 64) (if (result T) (i32.const 1) (then X) (else (T.const 0))))",
    "(T.store (i32.const 64) (T.copysign X (T.const 1)))",
];

#[test]
fn every_nan_is_the_canonical_one() {
    let mut wrong = Vec::new();
    for compiler in Compiler::ALL {
        let runtime = WasmRuntime::builder().compiler(*compiler).build().unwrap();
        for (operation, arguments, from, to) in OPERATIONS {
            for way in WAYS {
                for sign in ["", "-"] {
                    let nan = if from == "f32" { "nan:0x612345" } else { "nan:0xC123456789ABC" };
                    let arguments: String = (0..arguments)
                        .map(|index| {
                            if index == 0 { format!("({from}.const {sign}{nan})") } else { format!("({from}.const 1)") }
                        })
                        .collect();
                    let int = if to == "f32" { "i32" } else { "i64" };
                    let way =
                        way.replace('X', &format!("({operation} {arguments})")).replace('T', to).replace('I', int);
                    let len = if to == "f32" { 4 } else { 8 };
                    let wasm = wat::parse_str(format!(
                        "(module (memory (export \"memory\") 1)
                           (global $f32 (mut f32) (f32.const 0)) (global $f64 (mut f64) (f64.const 0))
                           (func $same_f32 (param f32) (result f32) (local.get 0))
                           (func $same_f64 (param f64) (result f64) (local.get 0))
                           (func $bits_f32 (param f32) (result i32) (i32.reinterpret_f32 (local.get 0)))
                           (func $bits_f64 (param f64) (result i64) (i64.reinterpret_f64 (local.get 0)))
                           (func (export \"skill_on_event\") (param i32 i32 i32 i32) (result i64)
                             (local $f32 f32) (local $f64 f64) {way} (i64.const 0x400000000{len})))"
                    ));
                    let wasm = wasm.unwrap_or_else(|error| panic!("{error}"));
                    let answer = runtime.load_skill(&wasm).unwrap().run("", b"").result.unwrap();
                    let mut bits = [0; 8];
                    bits[..len].copy_from_slice(&answer);
                    let canonical = if to == "f32" { 0x7FC0_0000 } else { 0x7FF8_0000_0000_0000 };
                    if u64::from_le_bytes(bits) != canonical {
                        wrong.push(format!("{}: {way}: {:x}", compiler.name(), u64::from_le_bytes(bits)));
                    }
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
