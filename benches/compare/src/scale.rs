//! Many skills in one process.

use std::sync::Arc;

use crate::Fallible;
use crate::child::{Took, took};
use crate::engine::{Engine, Extism, Guests, Loaded, Ours, State, Wasmer, Wasmtime, WasmtimeOptions};
use crate::machine::resident;
use crate::result::{Row, Unit};

/// Memory for each of so many skills, every one loaded from bytes of its own and called once.
pub(crate) fn row(guests: &Guests, skills: usize) -> Fallible<Row> {
    let mut measured = Vec::new();
    let mut missing = Vec::new();
    for engine in Engine::ALL {
        match took(guests, &["loaded", "--engine", engine.name(), "--skills", &skills.to_string()]) {
            Ok(Took { bytes, count, .. }) => measured.push((engine, vec![bytes as f64 / count as f64])),
            Err(error) => missing.push(format!("{}: {error}", engine.title())),
        }
    }
    let row = Row::of("memory per loaded skill", &format!("{skills} skills"), Unit::Bytes, &measured);
    Ok(if missing.is_empty() { row } else { row.with_note(missing.join("; ")) })
}

/// The child's part.
pub(crate) fn loaded(guests: &Guests, engine: Engine, skills: usize) -> Fallible<Took> {
    let wasm = std::fs::read(if engine == Engine::Extism { &guests.tiny_plugin } else { &guests.tiny_skill })?;
    let folder = tempfile::tempdir()?;
    let ours = Ours::new()?;
    let instances = u32::try_from(skills.min(1000))?;
    let wasmtime = match engine {
        Engine::Wasmtime => Some(Arc::new(Wasmtime::new(WasmtimeOptions { instances, ..Default::default() })?)),
        _ => None,
    };
    let (before, threads) = resident();
    let mut all: Vec<Box<dyn Loaded>> = Vec::new();
    for number in 0..skills {
        let wasm = numbered(&wasm, number);
        let mut skill: Box<dyn Loaded> = match (engine, &wasmtime) {
            (Engine::Wasmtime, Some(wasmtime)) => Box::new(wasmtime.load_shared(&wasm, State::Fresh)?),
            (Engine::Extism, _) => {
                let file = folder.path().join("plugin.wasm");
                std::fs::write(&file, &wasm)?;
                Box::new(Extism::compile(&file, None)?.load(State::Fresh)?)
            }
            (Engine::Wasmer, _) => Box::new(Wasmer::load(&wasm, State::Fresh)?),
            _ => Box::new(ours.load_named(&format!("skill-{number}"), &wasm, State::Fresh)?),
        };
        drop(wasm);
        let mut len = 0;
        skill.event("echo", b"hello", &mut |answer| len = answer.len())?;
        if len != 5 {
            return Err("the small guest answers with its data".into());
        }
        all.push(skill);
    }
    let (after, more_threads) = resident();
    Ok(Took { bytes: after.saturating_sub(before), threads: more_threads.saturating_sub(threads), count: all.len() })
}

/// The module with a custom section that no other has, so that nothing can take two for one.
fn numbered(wasm: &[u8], number: usize) -> Vec<u8> {
    let mut wasm = wasm.to_vec();
    // Section 0, of 10 bytes: a name of one byte, and eight of the number.
    wasm.extend_from_slice(&[0, 10, 1, b'n']);
    wasm.extend_from_slice(&(number as u64).to_le_bytes());
    wasm
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_numbered_module_is_a_module() {
        let engine = wasmtime::Engine::default();
        let module = numbered(b"\0asm\x01\0\0\0", 7);
        wasmtime::Module::validate(&engine, &module).unwrap();
        assert_ne!(module, numbered(b"\0asm\x01\0\0\0", 8));
    }
}
