//! Where a function pays for its code.
//!
//! A *group* is a set of instructions that can be entered only at its first one and of which each then runs at most once
//! before the group is entered again. So paying for a whole group at its entry covers all of it. A group may hold both
//! arms of an `if`: what is not run was paid for too much. To keep that small, a group that has reached
//! [`ENOUGH`] ends at the next place where control may go elsewhere.
//!
//! How the invariant is kept, for structured control flow:
//! - a `loop` begins a group of its own behind its header, since a branch to it comes back there;
//! - behind the `end` of a loop the group before the loop goes on: control gets there once per entry of that group;
//! - so it does with what stands in the loop and cannot come back to its head: that runs once before the loop is left, and the
//!   turns do not pay for it;
//! - behind the `end` of a block, and at `else`, the group goes on in which the block was opened: control gets there once for
//!   each time that it gets into the block.

use wasmparser::{BinaryReaderError, FunctionBody, Operator};

use super::bulk::{self, is_copy};
use super::often::{Flow, Opened};
use super::unroll::{self, Twice};

/// The cost at which a group ends at the next branching.
const ENOUGH: u32 = 128;

/// How many exits out of loops have a group of their own, in a function of so many instructions: a payment is ten times as
/// long as the shortest of them, and compilers take it for two branchings.
fn most_exits(operators: usize) -> usize {
    64 + operators / 64
}

/// Instructions that are paid for together, before the first of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Group {
    /// The index of the first instruction.
    pub before: usize,
    /// What the instructions cost, without what they call.
    pub cost: u32,
    /// Functions that are called, each at most once for every payment.
    pub calls: Vec<Call>,
    /// Types of functions that are called through a table.
    pub indirect: Vec<u32>,
    /// How often any is.
    pub indirect_often: u64,
    /// How often the group is entered: a guess, as all such numbers here ([`super::often`]).
    pub often: u64,
    /// How many loops its first instruction is of ([`Flow::loops`]).
    loops: usize,
}

/// A call of a function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Call {
    pub function: u32,
    /// How often it is made.
    pub often: u64,
}

/// A function's groups, in order of their places. There is always one at its entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Plan {
    /// Loops that are written out before anything else: all indices are of the code that this makes.
    pub twice: Vec<Twice>,
    pub groups: Vec<Group>,
    /// Operations that pay by their length: how often each runs.
    pub bulk: Vec<u64>,
    /// Those that a function of ours does, which pays: as above.
    pub copies: Vec<u64>,
    /// Whether there are any of them, also where nothing leads to them.
    pub has_copies: bool,
    /// Functions that are called on the way into an `unreachable`: how a compiler writes a panic. It is nobody's to pay for such
    /// a call beforehand, and no loop is slower for one.
    pub last_calls: Vec<u32>,
}

/// What an instruction costs. Those that only give structure cost nothing.
pub(super) fn cost(operator: &Operator<'_>) -> u32 {
    match operator {
        Operator::Block { .. } | Operator::Loop { .. } | Operator::End | Operator::Else | Operator::Nop => 0,
        operator if is_copy(operator) => bulk::COST,
        _ => 1,
    }
}

/// Whether an operation pays by its length.
pub(super) fn is_bulk(operator: &Operator<'_>) -> bool {
    matches!(
        operator,
        Operator::MemoryCopy { .. }
            | Operator::MemoryFill { .. }
            | Operator::MemoryGrow { .. }
            | Operator::MemoryInit { .. }
            | Operator::TableCopy { .. }
            | Operator::TableFill { .. }
            | Operator::TableGrow { .. }
            | Operator::TableInit { .. }
    )
}

/// For each operator, whether nothing but calls and their constants stands between it and an `unreachable`.
fn lead_to_the_end(operators: &[Operator<'_>]) -> Vec<bool> {
    let mut last = vec![false; operators.len()];
    let mut leads = false;
    for (index, operator) in operators.iter().enumerate().rev() {
        last[index] = leads;
        leads = match operator {
            Operator::Unreachable => true,
            Operator::Call { .. } | Operator::I32Const { .. } | Operator::I64Const { .. } => leads,
            _ => false,
        };
    }
    last
}

struct Frame {
    opened: Opened,
    /// The group in which it was opened.
    group: usize,
    /// Whether control can get behind its `end` other than by running into it.
    target: bool,
    /// Whether it was opened in code that cannot be reached.
    dead: bool,
}

impl Frame {
    fn opened(opened: Opened, group: usize, dead: bool) -> Self {
        Frame { opened, group, target: false, dead }
    }
}

struct Planner {
    plan: Plan,
    /// The group that pays for the next instruction.
    group: usize,
    frames: Vec<Frame>,
    /// The groups in which the open loops were opened.
    before_loops: Vec<usize>,
    /// How many exits may still have a group of their own.
    exits: usize,
    /// Whether the next instruction cannot be reached.
    dead: bool,
    flow: Flow,
}

impl Plan {
    /// Plans a function.
    pub(super) fn of(body: &FunctionBody<'_>, writes_out: bool) -> Result<Self, BinaryReaderError> {
        let operators = body.get_operators_reader()?.into_iter().collect::<Result<Vec<_>, _>>()?;
        let flow = Flow::of(&operators);
        let twice = if writes_out { unroll::loops(&operators, &flow) } else { Vec::new() };
        if twice.is_empty() {
            return Ok(Plan::with(&operators, flow, twice));
        }
        let operators = unroll::written_out(operators, &twice);
        Ok(Plan::with(&operators, Flow::of(&operators), twice))
    }

    fn with(operators: &[Operator<'_>], flow: Flow, twice: Vec<Twice>) -> Self {
        let entry = Group { often: flow.often[0], ..Group::default() };
        let mut planner = Planner {
            plan: Plan {
                twice,
                groups: vec![entry],
                bulk: Vec::new(),
                copies: Vec::new(),
                has_copies: false,
                last_calls: Vec::new(),
            },
            group: 0,
            frames: vec![Frame::opened(Opened::Block, 0, false)],
            before_loops: Vec::new(),
            exits: most_exits(operators.len()),
            dead: false,
            flow,
        };
        let last = lead_to_the_end(operators);
        for (index, operator) in operators.iter().enumerate() {
            planner.step(index, operator, last[index]);
        }
        // Groups are numbered as they begin, so the list is in order.
        debug_assert!(planner.plan.groups.is_sorted_by_key(|group| group.before));
        planner.plan
    }
}

impl Planner {
    fn step(&mut self, index: usize, operator: &Operator<'_>, last: bool) {
        self.plan.has_copies |= is_copy(operator);
        if !self.dead {
            // Those are of no cost, and say themselves with which group it goes on.
            if !matches!(operator, Operator::End | Operator::Else) {
                self.leave(index);
            }
            let often = self.flow.often[index];
            let group = &mut self.plan.groups[self.group];
            group.cost = group.cost.saturating_add(cost(operator));
            match operator {
                Operator::Call { function_index } if last => self.plan.last_calls.push(*function_index),
                Operator::Call { function_index } => group.calls.push(Call { function: *function_index, often }),
                Operator::CallIndirect { type_index, .. } => {
                    group.indirect.push(*type_index);
                    group.indirect_often += often;
                }
                operator if is_copy(operator) => self.plan.copies.push(often),
                operator if is_bulk(operator) => self.plan.bulk.push(often),
                _ => {}
            }
        }
        let next = index + 1;
        match operator {
            Operator::Block { .. } => self.open(Opened::Block),
            Operator::If { .. } => {
                self.open(Opened::If);
                self.branching(next);
            }
            Operator::Loop { .. } => {
                self.open(Opened::Loop);
                self.begin(next);
            }
            Operator::Else => self.middle(next),
            Operator::End => self.close(next),
            Operator::Br { relative_depth } => {
                self.branch_to(*relative_depth);
                self.dead = true;
            }
            Operator::BrIf { relative_depth } => {
                self.branch_to(*relative_depth);
                self.branching(next);
            }
            Operator::BrTable { targets } => {
                for target in targets.targets().flatten().chain([targets.default()]) {
                    self.branch_to(target);
                }
                self.dead = true;
            }
            Operator::Return | Operator::Unreachable => self.dead = true,
            _ => {}
        }
    }

    /// Begins a group at the instruction of this index.
    fn begin(&mut self, at: usize) {
        if !self.dead {
            self.group = self.plan.groups.len();
            // Behind the last instruction comes nothing.
            let often = self.flow.often.get(at).copied().unwrap_or_default();
            let loops = self.flow.loops.get(at).copied().unwrap_or_default();
            self.plan.groups.push(Group { before: at, often, loops, ..Group::default() });
        }
    }

    /// Ends a group that has enough, at a place where control may have gone elsewhere.
    fn branching(&mut self, next: usize) {
        if self.plan.groups[self.group].cost >= ENOUGH {
            self.begin(next);
        }
    }

    /// Goes on with the group before a loop, at an instruction that cannot come back to its head.
    ///
    /// Where that has enough and there were too many exits already, its turns pay for this one too.
    fn leave(&mut self, index: usize) {
        let loops = self.flow.loops[index];
        if self.plan.groups[self.group].loops <= loops {
            return;
        }
        let Some(group) = self.before_loops.get(loops).copied() else { return };
        if self.plan.groups[group].cost < ENOUGH {
            self.group = group;
        } else if self.exits > 0 {
            self.exits -= 1;
            self.begin(index);
        }
    }

    fn open(&mut self, opened: Opened) {
        if opened == Opened::Loop {
            self.before_loops.push(self.group);
        }
        self.frames.push(Frame::opened(opened, self.group, self.dead));
    }

    fn branch_to(&mut self, depth: u32) {
        if self.dead {
            return;
        }
        // Validation saw to it that the depth is there.
        let frame = self.frames.len().checked_sub(1 + depth as usize);
        if let Some(frame) = frame.and_then(|index| self.frames.get_mut(index)) {
            frame.target = true;
        }
    }

    fn middle(&mut self, next: usize) {
        let Some(frame) = self.frames.last_mut() else { return };
        // With an `else`, only the end of the first arm jumps behind the `end`, when it is reached.
        frame.target |= !self.dead;
        frame.opened = Opened::Block;
        let (group, dead) = (frame.group, frame.dead);
        self.dead = dead;
        self.go_on(group, next);
    }

    /// Goes on with the group in which a block was opened.
    fn go_on(&mut self, group: usize, next: usize) {
        if self.group != group {
            self.group = group;
            self.branching(next);
        }
    }

    fn close(&mut self, next: usize) {
        let Some(frame) = self.frames.pop() else { return };
        if frame.opened == Opened::Loop {
            self.before_loops.pop();
        }
        if frame.dead {
            // Nothing in it was reached, so no group began in it.
            self.dead = true;
            return;
        }
        match frame.opened {
            Opened::Loop => self.go_on(frame.group, next),
            Opened::Block | Opened::If => {
                if frame.target || frame.opened == Opened::If {
                    self.dead = false;
                    self.go_on(frame.group, next);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::first_function;
    use super::*;

    /// What a function with two `i32` parameters pays.
    fn plan(body: &str) -> Plan {
        let wasm = wat::parse_str(format!("(module (func (param i32 i32) {body}))")).unwrap();
        Plan::of(&first_function(&wasm), false).unwrap()
    }

    /// Its groups that cost anything, as `index:cost`.
    #[track_caller]
    fn check(body: &str, expected: &str) {
        let plan = plan(body);
        let paying = plan.groups.iter().filter(|group| group.cost > 0);
        let got: Vec<_> = paying.map(|group| format!("{}:{}", group.before, group.cost)).collect();
        assert_eq!(got.join(" "), expected);
    }

    fn nops(count: usize) -> String {
        "(drop (i32.const 0))".repeat(count / 2)
    }

    #[test]
    fn straight_line_pays_once() {
        check("", "");
        check("local.get 0 drop", "0:2");
        check("local.get 0 if nop else nop end local.get 0 drop", "0:4");
    }

    #[test]
    fn code_that_cannot_be_reached_is_free() {
        check("return local.get 0 drop", "0:1");
        check("block br 0 local.get 0 drop end local.get 0 drop", "0:3");
        check("unreachable loop br 0 end", "0:1");
        check("block return block br 0 end local.get 0 drop end", "0:1");
        check("loop br 0 end local.get 0 drop", "1:1");
    }

    #[test]
    fn a_loop_pays_each_time_and_what_follows_belongs_to_what_was_before() {
        check("local.get 0 drop loop local.get 0 br_if 0 end local.get 1 drop", "0:4 3:2");
        check("loop loop br 1 end end", "2:1");
    }

    #[test]
    fn a_group_with_enough_ends_at_a_branching() {
        let long = nops(ENOUGH as usize);
        let (one, two, three) = (ENOUGH, 2 * ENOUGH, 3 * ENOUGH);
        // The long one and the `if`, then its arms each for themselves, then what follows.
        check(
            &format!("{long} local.get 0 if {long} else {long} end local.get 0 drop"),
            &format!("0:{0} {0}:{one} {1}:{one} {2}:2", one + 2, two + 3, three + 4),
        );
        // A branch out of a later group may land behind the block, so a group begins there.
        check(
            &format!("block {long} local.get 0 br_if 0 {long} end local.get 0 drop"),
            &format!("0:{} {}:{one} {}:2", one + 2, one + 3, two + 4),
        );
        // A block that nobody branches to is run through: nothing begins behind it.
        check(
            &format!("block {long} local.get 0 if nop end {long} end local.get 0 drop"),
            &format!("0:{0} {1}:{0}", one + 2, one + 5),
        );
    }

    #[test]
    fn turns_do_not_pay_for_what_leaves_their_loop() {
        check("loop local.get 0 if local.get 1 drop return end br 0 end", "0:3 1:3");
        // Out of two loops: into the group before both.
        check("loop loop local.get 0 if local.get 1 drop return end local.get 1 br_if 0 br 1 end end", "0:3 1:1 2:4");
        // Out of the inner one into the next turn of the outer one.
        check("loop loop local.get 0 if local.get 1 drop br 2 end local.get 1 br_if 0 end return end", "0:1 1:3 2:4");
        // Where the group before has enough, with one of its own.
        let long = nops(ENOUGH as usize);
        check(
            &format!("{long} loop local.get 0 if local.get 1 drop return end br 0 end"),
            &format!("0:{ENOUGH} {0}:3 {1}:3", ENOUGH + 1, ENOUGH + 3),
        );
        // What comes back to the head behind it is of the turn again.
        check("loop block local.get 0 br_if 0 local.get 1 drop return end local.get 1 br_if 0 end", "0:3 1:4");
    }

    #[test]
    fn exits_have_so_many_groups_of_their_own_and_no_more() {
        let exits = 10_000;
        let body = format!("loop {} br 0 end", "local.get 0 if local.get 1 drop return end ".repeat(exits));
        let plan = plan(&body);
        let paying = plan.groups.iter().filter(|group| group.cost > 0).count();
        // Those, and where the turn pays: one that has enough ends at an `if`, and behind its arm another one begins.
        let cost = plan.groups.iter().map(|group| group.cost).sum::<u32>();
        assert_eq!(cost as usize, 5 * exits + 1);
        assert!(paying <= 2 * (cost / ENOUGH) as usize + most_exits(6 * exits) + 2, "{paying}");
    }

    #[test]
    fn a_branch_over_a_loop_keeps_the_group_of_the_block() {
        check("block loop local.get 0 br_if 1 br 0 end end local.get 0 drop", "0:2 2:3");
    }
}
