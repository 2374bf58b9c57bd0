//! Host calls with any arguments: a fixed guest that makes the calls its event lists.

mod event;
mod guest;

use std::cell::RefCell;
use std::collections::HashMap;

use arbitrary::{Arbitrary, Result, Unstructured};
use cis_wasm_host::{Resource, SkillScope};
use cis_wasm_runtime::{ErrorKind, LoadSpec, State, WasmInstance};

use crate::host::{Store, denied, granted, host_with};
use crate::outcome::{Seen, compilers, limits, load, name};
use crate::replay::Kept;
use crate::tally::Tally;
use event::Event;
use guest::Allocator;

/// Has a guest make host calls with any arguments, in two events, fresh and kept, and counts how the events ended.
///
/// # Panics
///
/// When an event ends with an error that is not the guest's, when compilers differ in result, fuel, ledger or log, or when
/// the first event of a kept skill differs from that of a fresh one.
pub fn host_calls(data: &[u8]) -> Tally {
    let mut tally = Tally::default();
    // An error means no more than that the bytes were used up.
    if let Ok(case) = Case::arbitrary(&mut Unstructured::new(data)) {
        case.check(&mut tally);
    }
    tally
}

/// What a skill is granted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Arbitrary)]
enum Scope {
    Granted,
    Denied,
    /// Granted, with a budget for a call or two.
    Poor,
}

/// One guest that is loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Loaded {
    allocator: Allocator,
    scope: Scope,
    state: State,
    compiler: usize,
}

#[derive(Debug)]
struct Case {
    allocator: Allocator,
    scope: Scope,
    events: [Event; 2],
}

impl<'a> Arbitrary<'a> for Case {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        Ok(Case { allocator: u.arbitrary()?, scope: u.arbitrary()?, events: u.arbitrary()? })
    }
}

impl Case {
    fn check(&self, tally: &mut Tally) {
        let [fresh, kept] = [State::Fresh, State::Kept].map(|state| {
            let first = self.run(state, 0);
            for compiler in 1..compilers() {
                let (first_name, other) = (name(0), name(compiler));
                assert_eq!(first, self.run(state, compiler), "{first_name} and {other} differ, {state:?}\n{self:?}");
            }
            first
        });
        // An instance that is reused pays for giving back what its event took, where it has a way to.
        if !self.allocator.frees() {
            assert_eq!(fresh[0], kept[0], "fresh and kept differ\n{self:?}");
        }
        self.replays(&fresh[0], tally);
        for seen in fresh.iter().chain(&kept) {
            tally.count("events");
            tally.count(seen.code());
        }
    }

    /// Journalled on the first compiler, an event ends the same on the last one, without any backend.
    fn replays(&self, seen: &Seen, tally: &mut Tally) {
        let Case { allocator, scope, events } = self;
        let event = events[0].bytes();
        let key = Loaded { allocator: *allocator, scope: *scope, state: State::Fresh, compiler: 0 };
        let kept = GUESTS.with_borrow_mut(|guests| {
            let (instance, store) = guests.entry(key).or_insert_with(|| key.load());
            store.empty();
            let (kept, journalled) = Kept::of(instance, "event", &event);
            assert_eq!(&journalled, seen, "with a journal and without\n{self:?}");
            kept
        });
        let key = Loaded { compiler: compilers() - 1, ..key };
        OFFLINE.with_borrow_mut(|guests| {
            let offline = guests.entry(key).or_insert_with(|| {
                let offline = kept.load(key.compiler, &key.wasm(), key.scope.scope(), limits(FUEL));
                offline.expect("the guest can be loaded")
            });
            assert_eq!(&kept.again(offline, "event", &event), seen, "from the journal\n{self:?}");
        });
        tally.count("replayed");
        if kept.calls() > 0 {
            tally.count("replayed_with_calls");
        }
    }

    /// Runs both events on one compiler.
    fn run(&self, state: State, compiler: usize) -> [Seen; 2] {
        let Case { allocator, scope, events } = self;
        let key = Loaded { allocator: *allocator, scope: *scope, state, compiler };
        GUESTS.with_borrow_mut(|guests| {
            let (instance, store) = guests.entry(key).or_insert_with(|| key.load());
            store.empty();
            let seen = events.each_ref().map(|event| Seen::of(instance.run("event", &event.bytes())));
            if state == State::Kept {
                // An instance that trapped is not used again, so the next case finds a new one.
                let ended = instance.run("event", &Event::trap().bytes()).result;
                let kept = ended.map_or_else(|error| matches!(error.kind(), ErrorKind::SkillFailed { .. }), |_| true);
                assert!(!kept, "the guest did not trap\n{self:?}");
            }
            seen
        })
    }
}

/// What an event may use.
const FUEL: u64 = 200_000;

thread_local! {
    /// Loading takes a hundred times as long as an event, so guests are loaded once.
    static GUESTS: RefCell<HashMap<Loaded, (WasmInstance, Store)>> = RefCell::default();
    /// The same guests with nobody to ask.
    static OFFLINE: RefCell<HashMap<Loaded, WasmInstance>> = RefCell::default();
}

impl Loaded {
    fn load(&self) -> (WasmInstance, Store) {
        let store = Store::default();
        let mut spec = LoadSpec::new(self.scope.scope(), host_with(store.clone()));
        spec.limits = limits(FUEL);
        spec.state = self.state;
        (load(self.compiler, &self.wasm(), spec).expect("the guest can be loaded"), store)
    }

    fn wasm(&self) -> Vec<u8> {
        wat::parse_str(guest::text(self.allocator)).expect("the guest is well formed")
    }
}

impl Scope {
    fn scope(self) -> SkillScope {
        match self {
            Scope::Granted => granted(),
            Scope::Denied => denied(),
            Scope::Poor => {
                let mut scope = granted();
                for resource in Resource::ALL {
                    scope.budget = scope.budget.with(resource, 2);
                }
                for (resource, amount) in [
                    (Resource::HostCalls, 6),
                    (Resource::BytesIn, 60),
                    (Resource::BytesOut, 60),
                    (Resource::LogBytes, 9),
                ] {
                    scope.budget = scope.budget.with(resource, amount);
                }
                scope.quota.keys = 1;
                scope
            }
        }
    }
}
