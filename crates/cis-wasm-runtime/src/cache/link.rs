//! Calls between a module's own functions, linked once and not at every load.
//!
//! The engine puts functions one behind the other, so how far it is from one to another is known before they have an
//! address.
//!
//! Invariant: code that was linked here runs only where [`check`] found its functions laid out in just this way. A wrong
//! distance would be a jump to anywhere.

use std::ops::Range;

use wasmer_compiler::serialize::RkyvSerializableCompilation;
use wasmer_compiler::types::relocation::{Relocation, RelocationKind, RelocationTarget};

/// What functions are aligned to.
const ALIGNMENT: usize = 16;

/// Where functions of these lengths begin, from the first one on.
fn begins(lengths: impl Iterator<Item = usize>) -> impl Iterator<Item = usize> {
    lengths.scan(0, |end: &mut usize, length| {
        let begin = *end;
        *end += length.next_multiple_of(ALIGNMENT);
        Some(begin)
    })
}

/// Puts the distances of calls into the code. What it cannot link stays for the engine.
pub(super) fn link(compilation: &mut RkyvSerializableCompilation) {
    let begins: Vec<usize> = begins(compilation.function_bodies.values().map(|function| function.body.len())).collect();
    let target = |relocation: &Relocation| match (relocation.kind, relocation.reloc_target) {
        (RelocationKind::X86CallPCRel4, RelocationTarget::LocalFunc(function)) => {
            begins.get(function.as_u32() as usize).copied()
        }
        _ => None,
    };
    let functions = compilation.function_bodies.values_mut().zip(compilation.function_relocations.values_mut());
    for ((function, relocations), begin) in functions.zip(&begins) {
        relocations.retain(|relocation| {
            let linked = target(relocation).and_then(|target| {
                let at = relocation.offset as usize;
                let place = function.body.get_mut(at..at.checked_add(size_of::<i32>())?)?;
                let distance = i64::try_from(target).ok()? - i64::try_from(begin + at).ok()?;
                let distance = i32::try_from(distance.checked_add(relocation.addend)?).ok()?;
                place.copy_from_slice(&distance.to_le_bytes());
                Some(())
            });
            linked.is_none()
        });
    }
}

/// Whether these functions, by where they lie in memory, are laid out as [`link`] takes it that they are.
pub(crate) fn check(functions: &[Range<usize>]) -> bool {
    let Some(first) = functions.first() else { return true };
    let begins = begins(functions.iter().map(ExactSizeIterator::len));
    functions.iter().zip(begins).all(|(function, begin)| function.start - first.start == begin)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_lie_one_behind_the_other() {
        assert!(check(&[]));
        let one = 4096..4097;
        assert!(check(&[one]));
        assert!(check(&[4096..4097, 4112..4144, 4144..4150]));
        assert!(!check(&[4096..4097, 4128..4160]));
        assert!(!check(&[4096..4113, 4112..4144]));
    }
}
