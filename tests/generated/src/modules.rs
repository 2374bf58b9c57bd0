//! Modules of wasm-smith's that keep the contract, run on every compiler.

pub(crate) mod generate;
mod probed;

use std::sync::LazyLock;

use arbitrary::{Arbitrary, Result, Unstructured};
use cis_wasm_abi::{EXPORT_ABI_VERSION, EXPORT_FREE, EXPORT_INIT};
use cis_wasm_runtime::{Error, ErrorKind, LoadSpec, State, WasmInstance, inspect};
use wasmparser::{Validator, WasmFeatures};

use crate::host::{Store, granted, host_with};
use crate::naive;
use crate::outcome::{Ended, Seen, compilers, is_stack_overflow, lawful, limits, load, load_alone, name};
use crate::replay::Kept;
use crate::tally::Tally;

/// Runs a module that is made from the bytes, as [`module`] does.
///
/// # Panics
///
/// As [`module`].
pub fn modules(data: &[u8]) -> Tally {
    let mut tally = Tally::default();
    match Case::arbitrary(&mut Unstructured::new(data)) {
        Ok(case) => case.check(&mut tally),
        // The bytes were used up, or led wasm-smith to where it gives up.
        Err(_) => tally.count("not_generated"),
    }
    tally
}

/// Loads a module on every compiler and sends it events, fresh and kept, the second with `data`. Counts how they ended.
///
/// # Panics
///
/// When one of these does not hold:
/// - compilers agree on whether the module is loaded, and on result, fuel, memory, ledger and log of every event. A trap for
///   lack of stack is an exception: they come to it at different depths;
/// - run again from its journal, on another compiler and with nobody to ask, an event is the same;
/// - an error is the guest's, and within its deadline;
/// - a fresh skill answers the same event with the same, and a kept one its first event as a fresh one;
/// - fuel is above the limit exactly when the event failed for it. With a limit of what it used the event ends the same,
///   with one unit less it runs out;
/// - no more instructions run than are paid for: see `naive`;
/// - no event finds anything of an earlier one: whatever came before on the same instance, its result, fuel, memory, ledger and
///   log are those of an instance that nobody used before, and so are all of memory and the globals when it begins: see
///   `probed`.
///
/// The two about fuel and instructions are about events without a trap. After a trap, the receipt may leave out what was paid for last.
pub fn module(wasm: &[u8], data: &[u8]) -> Tally {
    let mut tally = Tally::default();
    let case = Case { wasm: wasm.to_vec(), fuel: 2_000_000, events: [Vec::new(), data.to_vec()] };
    case.check(&mut tally);
    tally
}

#[derive(Debug)]
struct Case {
    wasm: Vec<u8>,
    fuel: u64,
    /// What the two events carry.
    events: [Vec<u8>; 2],
}

impl<'a> Arbitrary<'a> for Case {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        // A slice of fuel is 100,000 units: less than one, and several.
        let fuel = if u.ratio(1, 8)? { 1_000_000 } else { u.int_in_range(1..=50_000)? };
        // No data needs no room, and then the guest runs even when its allocator does not.
        let len = u.int_in_range(0..=40)?;
        let second = u.bytes(len)?.to_vec();
        Ok(Case { wasm: generate::wasm(u)?, fuel, events: [Vec::new(), second] })
    }
}

/// What one compiler made of the case.
struct Run {
    /// The first event twice, and the second.
    fresh: [Seen; 3],
    /// Both events.
    kept: [Seen; 2],
}

impl Case {
    fn check(&self, tally: &mut Tally) {
        tally.count("modules");
        let runs: Vec<_> = (0..compilers()).map(|compiler| (compiler, self.run(compiler))).collect();
        let mut loaded: Vec<(usize, &Run)> = Vec::new();
        let mut refused: Option<&Error> = None;
        for (compiler, run) in &runs {
            match run {
                Ok(run) => loaded.push((*compiler, run)),
                // Singlepass has no SIMD. Nothing else is refused by one compiler alone.
                Err(error) if matches!(error.kind(), ErrorKind::UnsupportedFeature { .. }) => {
                    assert!(self.needs_simd(), "{} does not compile it: {error}", name(*compiler));
                    tally.count(&format!("unsupported_feature_{}", name(*compiler)));
                }
                Err(error) if is_stack_overflow(error) => return tally.count("load_trap_stack_overflow"),
                Err(error) => {
                    lawful(error);
                    let first = refused.get_or_insert(error);
                    assert_eq!(first.kind(), error.kind(), "refused for different reasons");
                }
            }
        }
        if let Some(error) = refused {
            assert!(loaded.is_empty(), "refused by one compiler only: {error}");
            return tally.count(&format!("load_{}", error.code()));
        }
        let Some((compiler, first)) = loaded.first() else { return };
        if loaded.len() == compilers() {
            tally.count("loaded_by_all");
        }
        for (other, run) in &loaded[1..] {
            let names = format!("{} and {}", name(*compiler), name(*other));
            for (one, other) in first.fresh.iter().zip(&run.fresh) {
                same(one, other, &names);
            }
            // What came after a stack overflow was told a different story.
            for (one, other) in first.kept.iter().zip(&run.kept).take_while(|(one, other)| same(one, other, &names)) {
                debug_assert_eq!(one, other);
            }
        }
        for (compiler, run) in &loaded {
            let [once, again, _] = &run.fresh;
            same(once, again, &format!("{}, the same event twice", name(*compiler)));
            if !self.exports(EXPORT_FREE) {
                same(once, &run.kept[0], &format!("{}, fresh and kept", name(*compiler)));
            }
        }
        for seen in first.fresh.iter().chain(&first.kept) {
            tally.count("events");
            tally.count(seen.code());
        }
        // The compiler that is the quickest to load is the last.
        let (quickest, _) = loaded[loaded.len() - 1];
        self.replays(*compiler, quickest, &first.fresh[2], tally);
        for (compiler, _) in &loaded {
            self.leaves_nothing(*compiler, tally);
        }
        let seen = &first.fresh[0];
        if seen.is_out_of_fuel() || seen.is_trap() {
            return;
        }
        self.fuel_is_exact(quickest, seen, tally);
        self.nothing_runs_unpaid(quickest, seen, tally);
    }

    /// Loads the module on one compiler, and sends it the events.
    fn run(&self, compiler: usize) -> std::result::Result<Run, Error> {
        let [first, second] = &self.events;
        let skill = Skill::load(compiler, &self.wasm, self.fuel, State::Fresh)?;
        let fresh = [first, first, second].map(|data| {
            skill.store.empty();
            skill.run(data)
        });
        let skill = Skill::load(compiler, &self.wasm, self.fuel, State::Kept)?;
        skill.store.empty();
        let kept = [first, second].map(|data| skill.run(data));
        match skill.instance.shutdown() {
            Err(error) if !is_stack_overflow(&error) => lawful(&error),
            _ => {}
        }
        Ok(Run { fresh, kept })
    }

    /// Journalled on one compiler, the second event ends the same on another one, without any backend.
    fn replays(&self, on: usize, then_on: usize, seen: &Seen, tally: &mut Tally) {
        let data = &self.events[1];
        let Ok(skill) = Skill::load(on, &self.wasm, self.fuel, State::Fresh) else { return };
        skill.store.empty();
        let (kept, journalled) = Kept::of(&skill.instance, "", data);
        if !same(&journalled, seen, "with a journal and without") {
            return;
        }
        match kept.load(then_on, &self.wasm, granted(), limits(self.fuel)) {
            Ok(offline) => {
                if same(&kept.again(&offline, "", data), seen, "from the journal") {
                    tally.count("replayed");
                    if kept.calls() > 0 {
                        tally.count("replayed_with_calls");
                    }
                }
            }
            Err(error) => assert!(is_stack_overflow(&error), "from the journal of skill_init: {error}"),
        }
    }

    /// With just the fuel that it used, an event ends as it did; with less it does not.
    fn fuel_is_exact(&self, compiler: usize, seen: &Seen, tally: &mut Tally) {
        for (limit, enough) in [(seen.fuel, true), (seen.fuel.wrapping_sub(1), false)] {
            if seen.fuel == 0 && !enough {
                continue;
            }
            match Skill::load(compiler, &self.wasm, limit, State::Fresh) {
                Ok(skill) => {
                    skill.store.empty();
                    let limited = skill.run(&self.events[0]);
                    if enough {
                        assert_eq!(&limited, seen, "with a limit of what was used");
                    } else {
                        assert!(limited.is_out_of_fuel(), "with a limit below what was used: {limited:?}");
                    }
                    tally.count("exact_fuel");
                }
                // Starting up took more than the event did.
                Err(error) => assert_eq!(error.code(), "out_of_fuel", "{error}"),
            }
        }
    }

    /// Events in every order on instances that are used again, compared with events on instances of their own.
    fn leaves_nothing(&self, compiler: usize, tally: &mut Tally) {
        let Some(probed) = probed::probed(&self.wasm) else { return };
        let fuel = self.fuel.max(2_000_000);
        // Other instructions may not start up any more: then there is nothing to compare.
        let Ok(alone) = Skill::load_alone(compiler, &probed, fuel) else { return };
        let Ok(reused) = Skill::load(compiler, &probed, fuel, State::Fresh) else {
            panic!("{}: loaded only where instances are not used again", name(compiler))
        };
        let events = [("", &self.events[0]), ("", &self.events[1]), (probed::PROBE, &self.events[0])];
        let expected = events.map(|(ty, data)| alone.send(ty, data));
        for [before, event] in [[0, 2], [1, 2], [2, 0], [0, 1], [1, 0], [2, 1], [1, 2]] {
            for event in [before, event] {
                let (ty, data) = events[event];
                let found = reused.send(ty, data);
                same(&found, &expected[event], &format!("{}, on an instance that was used before", name(compiler)));
            }
            tally.count("in_turn");
        }
        if matches!(expected[2].ended, Ended::Failed(ErrorKind::SkillFailed { .. })) {
            tally.count("left_nothing");
        }
    }

    /// A module that counts its instructions, and traps when there are more than the event's fuel, ends all the same.
    fn nothing_runs_unpaid(&self, compiler: usize, seen: &Seen, tally: &mut Tally) {
        // What runs before the event is not paid for by it.
        let starts = self.inspection().sections.iter().any(|(name, _)| name == "start")
            || self.exports(EXPORT_INIT)
            || self.exports(EXPORT_ABI_VERSION);
        let counting = if starts { None } else { naive::counting(&self.wasm, seen.fuel) };
        let Some(counting) = counting else { return };
        let fuel = 1_000_000 + 100 * seen.fuel;
        match Skill::load(compiler, &counting, fuel, State::Fresh) {
            Ok(skill) => {
                skill.store.empty();
                let counted = skill.run(&self.events[0]);
                let ended = counted.is_stack_overflow() || counted.ended == seen.ended;
                assert!(ended, "{} units do not pay for all instructions: {counted:?} is not {seen:?}", seen.fuel);
                tally.count("all_paid");
            }
            Err(error) => panic!("a module that counts is not loaded: {error}"),
        }
    }

    /// Whether the module is not valid where there is no SIMD.
    fn needs_simd(&self) -> bool {
        let without = WasmFeatures::WASM2.difference(WasmFeatures::SIMD);
        Validator::new_with_features(without).validate_all(&self.wasm).is_err()
    }

    fn exports(&self, name: &str) -> bool {
        self.inspection().exported_functions.iter().any(|export| export == name)
    }

    fn inspection(&self) -> cis_wasm_runtime::Inspection {
        inspect(&self.wasm).expect("a module that was loaded can be inspected")
    }
}

/// A skill with a memory that can be emptied.
struct Skill {
    instance: WasmInstance,
    store: Store,
}

impl Skill {
    fn load(compiler: usize, wasm: &[u8], fuel: u64, state: State) -> std::result::Result<Self, Error> {
        Self::load_by(load, compiler, wasm, fuel, state)
    }

    /// A fresh skill whose events have instances of their own.
    fn load_alone(compiler: usize, wasm: &[u8], fuel: u64) -> std::result::Result<Self, Error> {
        Self::load_by(load_alone, compiler, wasm, fuel, State::Fresh)
    }

    fn load_by(
        load: fn(usize, &[u8], LoadSpec) -> std::result::Result<WasmInstance, Error>,
        compiler: usize,
        wasm: &[u8],
        fuel: u64,
        state: State,
    ) -> std::result::Result<Self, Error> {
        static SCOPE: LazyLock<cis_wasm_host::SkillScope> = LazyLock::new(granted);
        let store = Store::default();
        let mut spec = LoadSpec::new(SCOPE.clone(), host_with(store.clone()));
        spec.limits = limits(fuel);
        spec.state = state;
        Ok(Skill { instance: load(compiler, wasm, spec)?, store })
    }

    fn run(&self, data: &[u8]) -> Seen {
        Seen::of(self.instance.run("", data))
    }

    /// Sends an event, with nothing stored.
    fn send(&self, event_type: &str, data: &[u8]) -> Seen {
        self.store.empty();
        Seen::of(self.instance.run(event_type, data))
    }
}

/// Checks that two runs came to the same, and says whether both can be compared.
#[track_caller]
fn same(one: &Seen, other: &Seen, what: &str) -> bool {
    if one.is_stack_overflow() || other.is_stack_overflow() {
        return false;
    }
    assert_eq!(one, other, "{what}: not the same");
    true
}
