//! Events that wait, of modules of wasm-smith's that make host calls.

mod talkative;

use arbitrary::{Arbitrary, Result, Unstructured};
use bytes::Bytes;
use cis_wasm_host::{Journal, Resource, SkillScope};
use cis_wasm_runtime::{Error, ErrorKind, LoadSpec, State, WasmInstance};

use crate::host::{Store, granted, late_host_with};
use crate::outcome::{Seen, compilers, is_stack_overflow, lawful, limits, load, load_suspending, name};
use crate::replay::Kept;
use crate::tally::Tally;

/// Sends an event to a module that makes host calls, of which no backend answers one at once: to a thread that waits for
/// them, to one that does not, and to another compiler with nobody to ask. Counts how the events ended, and the calls.
///
/// # Panics
///
/// When result, log, fuel, ledger, memory or journal of the event differ between the three, or an error is not the guest's.
pub fn parked(data: &[u8]) -> Tally {
    let mut tally = Tally::default();
    match Case::arbitrary(&mut Unstructured::new(data)) {
        Ok(case) => case.check(&mut tally),
        // The bytes were used up, or led wasm-smith to where it gives up.
        Err(_) => tally.count("not_generated"),
    }
    tally
}

/// Host calls that an event may make: a guest that calls in an endless loop ends by that.
const CALLS: u64 = 60;

#[derive(Debug)]
struct Case {
    wasm: Vec<u8>,
    fuel: u64,
    data: Vec<u8>,
    /// The compiler that the event is held and parked on. It is replayed on the next one.
    compiler: usize,
    /// Whether it goes on where it was from its second wait on, or is run again from its start as long as that is little.
    suspends: bool,
}

impl<'a> Arbitrary<'a> for Case {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        // What begins on a lent thread ends there, or goes on at a worker's.
        let fuel = if u.ratio(1, 4)? { 1_000_000 } else { u.int_in_range(5_000..=80_000)? };
        let compiler = u.int_in_range(0..=compilers() - 1)?;
        let len = u.int_in_range(0..=40)?;
        let suspends = u.arbitrary()?;
        Ok(Case { fuel, compiler, suspends, data: u.bytes(len)?.to_vec(), wasm: talkative::wasm(u)? })
    }
}

impl Case {
    fn check(&self, tally: &mut Tally) {
        tally.count("modules");
        let store = Store::default();
        let skill = match self.load(&store) {
            Ok(skill) => skill,
            Err(error) => {
                // Singlepass has no SIMD; and a module that starts up may trap in it, or never come to its end.
                if !matches!(error.kind(), ErrorKind::UnsupportedFeature { .. }) {
                    lawful(&error);
                }
                return tally.count(&format!("load_{}", error.code()));
            }
        };
        store.empty();
        let (kept, held) = Kept::of(&skill, "event", &self.data);
        if held.is_stack_overflow() {
            return tally.count("stack_overflow");
        }

        store.empty();
        let before = skill.repeated_fuel();
        let event = skill.handle_with("event", Bytes::from(self.data.clone()), Journal::record().traced());
        let outcome = pollster::block_on(event);
        let parks = outcome.journal.trace().map_or(0, |trace| trace.rests().len());
        let (kept_by_parked, parked) = Kept::of_outcome(&skill, outcome);
        assert_eq!(parked, held, "held and parked");
        assert_eq!(kept_by_parked, kept, "the journals of held and parked");
        tally.count(held.code());
        tally.count_many("calls", kept.calls() as u64);
        tally.count_many("parks", parks as u64);
        if parks > 0 {
            tally.count("parked");
        }
        if self.suspends && parks > 2 {
            // Once to the first wait, and never after that.
            tally.count(if skill.repeated_fuel() - before <= held.fuel { "went_on" } else { "began_again" });
        }
        self.replays(&kept, &held, parks > 0, tally);
    }

    fn replays(&self, kept: &Kept, held: &Seen, parked: bool, tally: &mut Tally) {
        let other = (self.compiler + 1) % compilers();
        match kept.load(other, &self.wasm, scope(), limits(self.fuel)) {
            Ok(offline) => {
                let again = kept.again(&offline, "event", &self.data);
                if !again.is_stack_overflow() {
                    assert_eq!(&again, held, "replayed on {}", name(other));
                    tally.count("replayed");
                    if parked {
                        tally.count("parked_and_replayed");
                    }
                }
            }
            Err(error) => assert!(
                is_stack_overflow(&error) || matches!(error.kind(), ErrorKind::UnsupportedFeature { .. }),
                "loaded on one compiler only: {error}"
            ),
        }
    }

    fn load(&self, store: &Store) -> std::result::Result<WasmInstance, Error> {
        let mut spec = LoadSpec::new(scope(), late_host_with(store.clone()));
        spec.limits = limits(self.fuel);
        spec.state = State::Fresh;
        spec.park_after = std::time::Duration::ZERO;
        let load = if self.suspends { load_suspending } else { load };
        load(self.compiler, &self.wasm, spec)
    }
}

fn scope() -> SkillScope {
    let mut scope = granted();
    scope.budget = scope.budget.with(Resource::HostCalls, CALLS);
    scope
}
