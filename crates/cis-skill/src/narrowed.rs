//! Whose a limit is that an event ran into: the manifest's, or that of an integrator who lowered it.

use std::fmt::Display;

use cis_wasm_host::HostError;
use cis_wasm_runtime::ErrorKind as EngineErrorKind;

use crate::manifest::SkillLimits;
use crate::{Error, ErrorKind};

/// The limits that somebody set. The lowest holds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Narrowed {
    pub(crate) manifest: SkillLimits,
    pub(crate) options: SkillLimits,
    pub(crate) manager: SkillLimits,
}

impl Narrowed {
    /// An error that says whose limit it is about, where that is not the manifest's: its own words send a reader there.
    pub(crate) fn blame(&self, error: Error) -> Error {
        let ErrorKind::Runtime(engine) = error.kind() else { return error };
        let note = match engine.kind() {
            EngineErrorKind::DeadlineExceeded { .. } => {
                self.lowered(|limits| limits.engine.deadline, |deadline| format!("{} ms", deadline.as_millis()))
            }
            EngineErrorKind::Host(HostError::BudgetExhausted { resource, .. }) => {
                self.lowered(|limits| limits.budget.of(*resource), |amount| amount)
            }
            EngineErrorKind::OutOfFuel { .. } => self.lowered(|limits| limits.engine.fuel, |fuel| fuel),
            EngineErrorKind::OutOfMemory { .. } => self.lowered(|limits| limits.engine.memory_bytes, |bytes| bytes),
            EngineErrorKind::TableTooLarge { .. } => {
                self.lowered(|limits| limits.engine.table_elements, |number| number)
            }
            _ => None,
        };
        match note {
            Some(note) => error.with_note(note),
            None => error,
        }
    }

    fn lowered<T: Ord + Copy, Shown: Display>(
        &self,
        of: impl Fn(&SkillLimits) -> T,
        shown: impl Fn(T) -> Shown,
    ) -> Option<String> {
        let [manifest, options, manager] = [&self.manifest, &self.options, &self.manager].map(of);
        let who = match options.min(manager) {
            lower if lower >= manifest => return None,
            lower if lower == options => "the options that the skill was loaded with",
            _ => "the manager",
        };
        Some(format!("{who} set this limit; the skill's own is {}", shown(manifest)))
    }
}
