//! Who pays for what, over the whole module.
//!
//! A call costs what the callee's entry group costs, and the group that makes the call pays it along with its own: then a
//! function without loops does not pay at all, and one with loops pays in them alone. Such a function is *prepaid*. Not
//! every function can be:
//! - one that the host calls pays for itself, since nobody else does;
//! - one whose entry is dear pays for itself, so that callers do not pay much for what they rarely do;
//! - of functions whose entries call each other in a circle, one pays for itself;
//! - one that is called right before `unreachable` pays for itself: its callers do not expect to make that call;
//! - one that calls through a table at its entry pays for itself. Whoever calls through a table pays for the dearest prepaid
//!   function that may be meant.
//!
//! Invariants: every entry of a group is paid for, by itself or by the call that led there; and in every circle of calls
//! or branches somebody pays at least one unit.

use std::collections::{BTreeMap, BTreeSet};

use wasmparser::FuncType;

use super::often::ONCE;
use super::plan::{Group, Plan};

/// The dearest entry that a caller pays for.
const DEAREST_PREPAID: u32 = 64;

/// What the bill needs to know of a module.
pub(super) struct Module<'m> {
    pub types: &'m [FuncType],
    /// How many functions are imported. Their indices come first.
    pub imported: u32,
    /// Type of each defined function.
    pub function_types: &'m [u32],
    /// Functions that the host calls.
    pub called_by_host: &'m BTreeSet<u32>,
    /// Functions that may be in a table.
    pub in_tables: &'m BTreeSet<u32>,
}

/// How a function keeps the counter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Counter {
    /// It never pays.
    Unused,
    /// In the global.
    Global,
    /// In the global, and a copy in a local, so that payments need not wait for memory.
    Local,
}

/// One payment: before the instruction of this index, this much.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Payment {
    pub before: usize,
    pub cost: u32,
}

/// What one function pays.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Bill {
    pub counter: Counter,
    /// In order of their places.
    pub payments: Vec<Payment>,
}

/// The bills of all defined functions.
pub(super) struct Bills {
    /// Functions that, with all they call, leave the counter alone, if they return.
    untouching: Vec<bool>,
    /// Those that do so also where they do not.
    unseeing: Vec<bool>,
    bills: Vec<Bill>,
    imported: u32,
}

impl Bills {
    pub(super) fn of(module: &Module<'_>, plans: &[Plan]) -> Self {
        let prepaid = prepaid(module, plans);
        let through_tables = through_tables(module, &prepaid);
        let dues = Dues { module, prepaid: &prepaid, through_tables };
        let payments: Vec<Vec<(Payment, u64)>> = plans
            .iter()
            .enumerate()
            .map(|(function, plan)| {
                let skipped = usize::from(prepaid[function].is_some());
                let groups = plan.groups.iter().skip(skipped);
                let payments =
                    groups.map(|group| (Payment { before: group.before, cost: dues.of(group) }, group.often));
                payments.filter(|(payment, _)| payment.cost > 0).collect()
            })
            .collect();
        let untouching = leaving_alone(module, plans, &payments, false);
        let unseeing = leaving_alone(module, plans, &payments, true);
        let bills = plans
            .iter()
            .zip(payments)
            .zip(module.imported..)
            .map(|((plan, payments), function)| Bill {
                counter: counter(function, module, plan, &payments, &untouching),
                payments: payments.into_iter().map(|(payment, _)| payment).collect(),
            })
            .collect();
        Bills { untouching, unseeing, bills, imported: module.imported }
    }

    /// What a defined function pays.
    pub(super) fn bill(&self, function: usize) -> &Bill {
        &self.bills[function]
    }

    /// Whether a call of this function may return with another counter.
    pub(super) fn touches(&self, function: u32) -> bool {
        function.checked_sub(self.imported).is_none_or(|defined| !self.untouching[defined as usize])
    }

    /// Whether a call of this function may lead to somebody who looks at the counter, also if it does not return then.
    pub(super) fn sees(&self, function: u32) -> bool {
        function.checked_sub(self.imported).is_none_or(|defined| !self.unseeing[defined as usize])
    }
}

struct Dues<'m> {
    module: &'m Module<'m>,
    prepaid: &'m [Option<u32>],
    /// The dearest prepaid function in a table, by type.
    through_tables: BTreeMap<&'m FuncType, u32>,
}

impl Dues<'_> {
    /// What a group pays: its own instructions, and the entries of what it calls.
    fn of(&self, group: &Group) -> u32 {
        let calls = group.calls.iter().filter_map(|call| call.function.checked_sub(self.module.imported));
        let called = calls.filter_map(|callee| self.prepaid[callee as usize]);
        let types = group.indirect.iter().filter_map(|ty| self.module.types.get(*ty as usize));
        let through = types.filter_map(|ty| self.through_tables.get(ty).copied());
        called.chain(through).fold(group.cost, u32::saturating_add)
    }
}

/// Finds the functions whose entries their callers pay for, and what that costs.
fn prepaid(module: &Module<'_>, plans: &[Plan]) -> Vec<Option<u32>> {
    #[derive(Clone, Copy, PartialEq)]
    enum Mark {
        New,
        /// Its callees are being looked at.
        Open,
        /// A circle of entries came back to it.
        InCircle,
        Done,
    }
    let last: BTreeSet<u32> = plans.iter().flat_map(|plan| &plan.last_calls).copied().collect();
    let mut marks = vec![Mark::New; plans.len()];
    let mut found: Vec<Option<u32>> = vec![None; plans.len()];
    // Depth first, with a stack of our own: a module may nest calls deeper than ours goes.
    for root in 0..plans.len() {
        let mut stack = vec![(root, 0)];
        while let Some((function, next)) = stack.pop() {
            if next == 0 {
                match marks[function] {
                    Mark::New => marks[function] = Mark::Open,
                    Mark::Open => {
                        marks[function] = Mark::InCircle;
                        continue;
                    }
                    Mark::InCircle | Mark::Done => continue,
                }
            }
            let entry = &plans[function].groups[0];
            match entry.calls.get(next) {
                Some(call) => {
                    stack.push((function, next + 1));
                    if let Some(callee) = call.function.checked_sub(module.imported) {
                        stack.push((callee as usize, 0));
                    }
                }
                None => {
                    let calls = entry.calls.iter().filter_map(|call| call.function.checked_sub(module.imported));
                    let called = calls.filter_map(|callee| found[callee as usize]);
                    let cost = called.fold(entry.cost, u32::saturating_add);
                    let index = function as u32 + module.imported;
                    let by_itself = marks[function] == Mark::InCircle
                        || module.called_by_host.contains(&index)
                        || last.contains(&index)
                        || !entry.indirect.is_empty()
                        || cost > DEAREST_PREPAID;
                    found[function] = (!by_itself).then_some(cost);
                    marks[function] = Mark::Done;
                }
            }
        }
    }
    found
}

/// The dearest prepaid function in a table, by type.
fn through_tables<'m>(module: &'m Module<'m>, prepaid: &[Option<u32>]) -> BTreeMap<&'m FuncType, u32> {
    let mut dearest = BTreeMap::new();
    for function in module.in_tables.iter().filter_map(|function| function.checked_sub(module.imported)) {
        let function = function as usize;
        let ty = module.function_types.get(function).and_then(|ty| module.types.get(*ty as usize));
        if let (Some(ty), Some(Some(cost))) = (ty, prepaid.get(function)) {
            let dearest = dearest.entry(ty).or_insert(0);
            *dearest = (*cost).max(*dearest);
        }
    }
    dearest
}

/// Finds the functions that leave the counter alone, with all they call.
///
/// A call right before `unreachable` counts only `to_the_end`: whatever it does to the counter, it does not return with it.
fn leaving_alone(module: &Module<'_>, plans: &[Plan], payments: &[Vec<(Payment, u64)>], to_the_end: bool) -> Vec<bool> {
    let mut touching = vec![false; plans.len()];
    let mut callers: Vec<Vec<usize>> = vec![Vec::new(); plans.len()];
    let mut spread = Vec::new();
    for (function, plan) in plans.iter().enumerate() {
        let mut touches = !payments[function].is_empty() || !plan.bulk.is_empty() || !plan.copies.is_empty();
        touches |= plan.groups.iter().any(|group| !group.indirect.is_empty());
        let calls = plan.groups.iter().flat_map(|group| &group.calls).map(|call| call.function);
        let last_calls = plan.last_calls.iter().copied().filter(|_| to_the_end);
        for callee in calls.chain(last_calls) {
            match callee.checked_sub(module.imported) {
                Some(callee) => callers[callee as usize].push(function),
                // The host may refuel, and wants to see the counter as it is.
                None => touches = true,
            }
        }
        if touches {
            touching[function] = true;
            spread.push(function);
        }
    }
    while let Some(function) = spread.pop() {
        for caller in std::mem::take(&mut callers[function]) {
            if !std::mem::replace(&mut touching[caller], true) {
                spread.push(caller);
            }
        }
    }
    touching.into_iter().map(|touching| !touching).collect()
}

/// Chooses how a function keeps the counter, by what it would do with either way.
fn counter(
    function: u32,
    module: &Module<'_>,
    plan: &Plan,
    payments: &[(Payment, u64)],
    untouching: &[bool],
) -> Counter {
    /// What a payment from memory costs more than one from a register, as much as it costs to bring the global and the copy up
    /// to date around a call, or in all for entering and leaving: a load and a store.
    const FROM_MEMORY: u64 = 1;
    /// In a loop the next one waits for both.
    const IN_A_LOOP: u64 = 2;
    /// A call of itself enters the function once more, so it makes fewer turns than another would.
    const OF_ITSELF: u64 = 8;
    let payments = payments.iter().map(|(_, often)| *often).chain(plan.bulk.iter().copied());
    let paid: u64 = payments.map(|often| if often > ONCE { IN_A_LOOP * often } else { FROM_MEMORY * often }).sum();
    if paid == 0 {
        return Counter::Unused;
    }
    let touches = |callee: u32| callee.checked_sub(module.imported).is_none_or(|callee| !untouching[callee as usize]);
    let calls = plan.groups.iter().flat_map(|group| &group.calls).filter(|call| touches(call.function));
    let calls = calls.map(|call| if call.function == function { OF_ITSELF * call.often } else { call.often });
    let indirect = plan.groups.iter().map(|group| group.indirect_often);
    let bulk = plan.bulk.iter().chain(&plan.copies).copied();
    let touched = ONCE + calls.chain(indirect).chain(bulk).sum::<u64>();
    if touched < paid { Counter::Local } else { Counter::Global }
}

#[cfg(test)]
mod tests {
    use wasmparser::{Parser, Payload};

    use super::*;

    /// The bills of a module's functions, each as `counter before:cost ...`. Function 0 is called by the host; functions
    /// named in `in_tables` may be in a table.
    #[track_caller]
    fn check(functions: &str, in_tables: &[u32], expected: &[&str]) {
        let wasm = wat::parse_str(format!("(module (table 1 funcref) (type $plain (func)) {functions})")).unwrap();
        let (mut plans, mut types, mut function_types) = (Vec::new(), Vec::new(), Vec::new());
        for payload in Parser::new(0).parse_all(&wasm) {
            match payload.unwrap() {
                Payload::TypeSection(section) => {
                    types.extend(section.into_iter_err_on_gc_types().map(Result::unwrap));
                }
                Payload::FunctionSection(section) => function_types.extend(section.into_iter().map(Result::unwrap)),
                Payload::CodeSectionEntry(body) => plans.push(Plan::of(&body, false).unwrap()),
                _ => {}
            }
        }
        let module = Module {
            types: &types,
            imported: 0,
            function_types: &function_types,
            called_by_host: &BTreeSet::from([0]),
            in_tables: &in_tables.iter().copied().collect(),
        };
        let bills = Bills::of(&module, &plans);
        let got = bills.bills.iter().map(|bill| {
            let payments = bill.payments.iter().map(|payment| format!(" {}:{}", payment.before, payment.cost));
            format!("{:?}{}", bill.counter, payments.collect::<String>())
        });
        assert_eq!(got.collect::<Vec<_>>(), expected);
    }

    #[test]
    fn a_caller_pays_for_entries() {
        // Three units for the call and what it calls, two levels down.
        check("(func call 1) (func call 2) (func i32.const 0 drop)", &[], &["Global 0:4", "Unused", "Unused"]);
        let dear = "i32.const 0 drop ".repeat(65);
        check(&format!("(func call 1) (func {dear})"), &[], &["Global 0:1", "Global 0:130"]);
    }

    #[test]
    fn in_a_circle_somebody_pays() {
        check("(func call 1) (func call 1)", &[], &["Global 0:1", "Global 0:1"]);
        check("(func call 1) (func call 2) (func call 1)", &[], &["Global 0:1", "Global 0:2", "Unused"]);
        // A circle through a loop: the loop pays, for itself and for the entry it comes back to.
        check("(func call 1) (func (loop call 1 i32.const 0 br_if 0))", &[], &["Global 0:1", "Global 1:3"]);
    }

    #[test]
    fn who_calls_through_a_table_pays_for_the_dearest() {
        check(
            "(func i32.const 0 call_indirect) (func i32.const 0 drop) (func i32.const 0 drop i32.const 0 drop)",
            &[1, 2],
            &["Global 0:6", "Unused", "Unused"],
        );
        // One that calls through a table itself is nobody's to pay for: it may be calling itself.
        check("(func i32.const 0 call_indirect) (func i32.const 0 call_indirect)", &[1], &["Global 0:2", "Global 0:2"]);
    }

    #[test]
    fn what_is_called_before_the_end_pays_for_itself() {
        check("(func call 1 unreachable) (func i32.const 0 drop)", &[], &["Global 0:2", "Global 0:2"]);
    }

    #[test]
    fn a_copy_has_its_price_and_may_change_the_counter() {
        let copy = "i32.const 0 i32.const 0 i32.const 0 memory.copy";
        let price = 3 + super::super::bulk::COST;
        check(&format!("(func {copy})"), &[], &[&format!("Global 0:{price}")]);
        check(&format!("(func call 1) (func {copy})"), &[], &[&format!("Global 0:{}", price + 1), "Unused"]);
        // As a call would: with two of them for each payment, the copy of the counter would be brought up to date more often.
        check(&format!("(func (loop {copy} i32.const 0 br_if 0))"), &[], &[&format!("Local 1:{}", price + 2)]);
        check(
            &format!("(func (loop {copy} {copy} i32.const 0 br_if 0))"),
            &[],
            &[&format!("Global 1:{}", 2 * price + 2)],
        );
    }

    #[test]
    fn the_counter_is_local_where_loops_seldom_call() {
        let paying = "(func (loop i32.const 0 br_if 0))";
        check(paying, &[], &["Local 1:2"]);
        check("(func (loop call 1 call 1 i32.const 0 br_if 0)) (func)", &[], &["Local 1:4", "Unused"]);
        let calling = |calls: &str| format!("(func (loop {calls} i32.const 0 br_if 0)) {paying}");
        check(&calling("call 1"), &[], &["Local 1:3", "Local 1:2"]);
        check(&calling("call 1 call 1"), &[], &["Global 1:4", "Local 1:2"]);
        // Not in every turn.
        check(&calling("i32.const 0 if call 1 call 1 end"), &[], &["Local 1:6", "Local 1:2"]);
        // Whoever calls itself is entered each time.
        check(&calling("call 0"), &[], &["Global 1:3", "Local 1:2"]);
    }
}
