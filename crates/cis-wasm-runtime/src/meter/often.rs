//! How often code runs, from its loops and branches alone.
//!
//! Compilers put much into a loop that is not of it: whatever follows a `br_if` out of the middle and never comes back. So
//! what counts is not which loops stand around an instruction, but to the heads of which of them it can come back without
//! leaving them.
//!
//! Invariants:
//! - *Which loops* is no guess ([`Flow::loops`]): an instruction is never said to be of fewer loops than it is, since who pays for it
//!   depends on that ([`super::plan`]).
//! - *How often* is one ([`Flow::often`]): so many turns for each of these loops, and less where a turn of the innermost may go
//!   by without it. It decides nothing but how a function keeps its counter and which loops are written out ([`super::bill`],
//!   [`super::unroll`]); what it has to be is the same for the same code.

use wasmparser::Operator;

/// The guess for an instruction that runs once.
pub(super) const ONCE: u64 = 64;

/// A loop makes so many turns each time, as a power of two.
const TURNS: u32 = 3;

/// More loops than this within one another are taken for so many.
const DEEPEST: u32 = 6;

/// How many levels of loops are told apart: those that are within more are taken for one.
const LEVELS: usize = 64;

/// What is known of a function's instructions, by their indices.
pub(super) struct Flow {
    /// How often it runs each time the function does, times [`ONCE`].
    pub often: Vec<u64>,
    /// Of the loops that stand around it, the outermost being number 0, how many one has to go through from the outside until
    /// none of the others can take another turn from here. Never less than that.
    pub loops: Vec<usize>,
}

impl Flow {
    pub(super) fn of(operators: &[Operator<'_>]) -> Self {
        let mut returns = Returns::new(operators.len());
        // Once to know what a loop's exits lead to, and once more for what leads back to its head.
        returns.look(operators);
        returns.look(operators);
        let often = Guess { returns: &returns, frames: Vec::new(), loops: 0, skipped: [0; LEVELS] }.all(operators);
        let loops = returns.from[..operators.len()].iter().map(|from| known(*from)).collect();
        Flow { often, loops }
    }
}

/// How many loops one has to go through until the rest does not matter. Beyond [`LEVELS`] they are not told apart.
fn known(from: Loops) -> usize {
    match (Loops::BITS - from.leading_zeros()) as usize {
        LEVELS => usize::MAX,
        loops => loops,
    }
}

/// What an instruction opens.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Opened {
    Block,
    Loop,
    If,
}

impl Opened {
    pub(super) fn of(operator: &Operator<'_>) -> Option<Self> {
        match operator {
            Operator::Block { .. } => Some(Opened::Block),
            Operator::Loop { .. } => Some(Opened::Loop),
            Operator::If { .. } => Some(Opened::If),
            _ => None,
        }
    }
}

/// A set of the loops around a place, by their levels.
type Loops = u64;

/// The loops of lower levels than this one.
fn around(level: usize) -> Loops {
    (1 << level) - 1
}

fn level(loops: usize) -> usize {
    loops.min(LEVELS - 1)
}

/// To which loops' heads control may come back, without having left them.
struct Returns {
    /// From before each instruction.
    from: Vec<Loops>,
    /// From behind the end of what an instruction opens.
    behind: Vec<Loops>,
}

/// A block, seen from its end.
struct Ended {
    /// From behind its end.
    behind: Loops,
    /// From the beginning of its second arm, if it has one.
    other: Option<Loops>,
    /// Where it was opened, and its level, if it is a loop.
    head: Option<(usize, usize)>,
}

impl Returns {
    fn new(operators: usize) -> Self {
        Returns { from: vec![0; operators + 1], behind: vec![0; operators] }
    }

    /// Goes through the code backwards.
    fn look(&mut self, operators: &[Operator<'_>]) {
        let opened = openings(operators);
        let mut ended: Vec<Ended> = Vec::new();
        let mut loops = 0;
        let mut from = 0;
        for (index, operator) in operators.iter().enumerate().rev() {
            let target = |ended: &[Ended], depth: u32| match ended.len().checked_sub(1 + depth as usize) {
                None => 0,
                Some(at) => match ended[at] {
                    Ended { head: Some((head, level)), .. } => self.from[head] & around(level) | 1 << level,
                    Ended { behind, .. } => behind,
                },
            };
            match operator {
                Operator::End => {
                    let start = opened[index];
                    let is_loop = start.is_some_and(|start| Opened::of(&operators[start]) == Some(Opened::Loop));
                    let head = start.filter(|_| is_loop).map(|start| (start + 1, level(loops)));
                    loops += usize::from(is_loop);
                    // The function's own end is that of no block; a branch there is one out of all loops, as one to nowhere.
                    if start.is_some() {
                        ended.push(Ended { behind: from, other: None, head });
                    }
                }
                Operator::Else => {
                    if let Some(arms) = ended.last_mut() {
                        arms.other = Some(from);
                        from = arms.behind;
                    }
                }
                Operator::Block { .. } | Operator::Loop { .. } | Operator::If { .. } => {
                    if let Some(block) = ended.pop() {
                        self.behind[index] = block.behind;
                        if let Some((_, level)) = block.head {
                            loops -= 1;
                            // That of the last level may stand for a loop around this one too.
                            if loops < LEVELS {
                                from &= around(level);
                            }
                        }
                        if matches!(operator, Operator::If { .. }) {
                            from |= block.other.unwrap_or(block.behind);
                        }
                    }
                }
                Operator::Br { relative_depth } => from = target(&ended, *relative_depth),
                Operator::BrIf { relative_depth } => from |= target(&ended, *relative_depth),
                Operator::BrTable { targets } => {
                    let all = targets.targets().flatten().chain([targets.default()]);
                    from = all.fold(0, |from, depth| from | target(&ended, depth));
                }
                Operator::Return | Operator::Unreachable => from = 0,
                _ => {}
            }
            self.from[index] = from;
        }
    }
}

/// Where what each `end` closes was opened. The function's own is nowhere.
fn openings(operators: &[Operator<'_>]) -> Vec<Option<usize>> {
    let mut open = Vec::new();
    let mut opened = vec![None; operators.len()];
    for (index, operator) in operators.iter().enumerate() {
        match operator {
            Operator::End => opened[index] = open.pop(),
            operator if Opened::of(operator).is_some() => open.push(index),
            _ => {}
        }
    }
    opened
}

/// A block that is open.
struct Frame {
    opened: Opened,
    /// The level of the innermost loop around it.
    level: usize,
    /// From behind its end.
    behind: Loops,
    /// Whether a branch may have led behind its end already, in the same turn of that loop.
    skipped: bool,
}

struct Guess<'r> {
    returns: &'r Returns,
    frames: Vec<Frame>,
    /// How many of the frames are loops.
    loops: usize,
    /// By level, how many frames are skipped.
    skipped: [u32; LEVELS],
}

impl Guess<'_> {
    fn all(mut self, operators: &[Operator<'_>]) -> Vec<u64> {
        let all = operators.iter().enumerate().map(|(index, operator)| {
            let often = self.often(index);
            self.step(index, operator);
            often
        });
        all.collect()
    }

    /// How often the instruction runs that comes next.
    fn often(&self, index: usize) -> u64 {
        let returns = self.returns.from[index];
        let innermost = (Loops::BITS - returns.leading_zeros()) as usize;
        let within = innermost.saturating_sub(1)..=self.level();
        let conditions: u32 = if innermost == 0 { 0 } else { self.skipped[within].iter().sum() };
        ONCE << (TURNS * returns.count_ones().min(DEEPEST)) >> conditions.min(DEEPEST)
    }

    /// The level of the innermost loop.
    fn level(&self) -> usize {
        level(self.loops.saturating_sub(1))
    }

    fn step(&mut self, index: usize, operator: &Operator<'_>) {
        match operator {
            Operator::Block { .. } | Operator::Loop { .. } | Operator::If { .. } => {
                let opened = Opened::of(operator).unwrap_or(Opened::Block);
                let frame = Frame { opened, level: self.level(), behind: self.returns.behind[index], skipped: false };
                self.frames.push(frame);
                self.loops += usize::from(opened == Opened::Loop);
                if opened == Opened::If {
                    self.skip(0);
                }
            }
            Operator::End => {
                if let Some(frame) = self.frames.pop() {
                    self.loops -= usize::from(frame.opened == Opened::Loop);
                    self.skipped[frame.level] -= u32::from(frame.skipped);
                }
            }
            Operator::Br { relative_depth } | Operator::BrIf { relative_depth } => self.skip(*relative_depth),
            Operator::BrTable { targets } => {
                targets.targets().flatten().chain([targets.default()]).for_each(|depth| self.skip(depth));
            }
            _ => {}
        }
    }

    /// Notes that control may go on behind the end of a block, and come back to the loop around it from there.
    fn skip(&mut self, depth: u32) {
        let frame = self.frames.len().checked_sub(1 + depth as usize);
        let Some(frame) = frame.and_then(|index| self.frames.get_mut(index)) else { return };
        let comes_back = frame.behind & (1 << frame.level) != 0;
        if frame.opened != Opened::Loop && comes_back && !frame.skipped {
            frame.skipped = true;
            self.skipped[frame.level] += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::operators;
    use super::*;

    /// What is known of each `nop` of a function with one parameter.
    fn of_nops<T>(body: &str, known: impl FnOnce(Flow) -> Vec<T>) -> Vec<T> {
        let wasm = wat::parse_str(format!("(module (func (param i32) {body}))")).unwrap();
        let operators = operators(&wasm);
        let all = operators.iter().zip(known(Flow::of(&operators)));
        all.filter(|(operator, _)| matches!(operator, Operator::Nop)).map(|(_, known)| known).collect()
    }

    /// How often each runs, in turns of 8 or in parts of one.
    #[track_caller]
    fn check(body: &str, expected: &[f64]) {
        let often = of_nops(body, |flow| flow.often);
        assert_eq!(often.iter().map(|often| *often as f64 / ONCE as f64).collect::<Vec<_>>(), expected);
    }

    #[test]
    fn what_is_in_loops_runs_often() {
        check("nop loop nop local.get 0 br_if 0 nop end nop", &[1.0, 8.0, 1.0, 1.0]);
        check("loop nop loop nop local.get 0 br_if 0 end nop local.get 0 br_if 0 end", &[8.0, 64.0, 8.0]);
        // Never again.
        check("loop nop end", &[1.0]);
    }

    #[test]
    fn what_does_not_come_back_is_of_no_loop() {
        // The inner loop ends in its middle, and what follows goes on with the outer one.
        check("loop loop block nop local.get 0 br_if 0 nop br 1 end nop br 1 end end", &[64.0, 64.0, 8.0]);
        check("loop block local.get 0 br_if 0 nop br 1 end nop return end", &[8.0, 1.0]);
    }

    #[test]
    fn what_is_of_a_loop_is_known() {
        #[track_caller]
        fn check(body: &str, expected: &[usize]) {
            assert_eq!(of_nops(body, |flow| flow.loops), expected);
        }
        check("nop loop nop local.get 0 br_if 0 nop end nop", &[0, 1, 0, 0]);
        // Out of the inner one in its middle, to another turn of the outer one, and out of both.
        check("loop loop nop local.get 0 br_if 0 nop local.get 0 br_if 1 nop return end end", &[2, 1, 0]);
        // The inner one leads nowhere but back to its own head.
        check("loop local.get 0 if loop nop br 0 end end nop local.get 0 br_if 0 end", &[2, 1]);
        // By any of a table's ways, and by either arm.
        check("block loop nop local.get 0 br_table 1 0 end end", &[1]);
        check("block loop nop local.get 0 br_table 0 1 end end", &[1]);
        check("loop nop local.get 0 if return else br 1 end end", &[1]);
        check("loop nop local.get 0 if br 1 else return end end", &[1]);
        // Of more than there are levels, that of each is one of all.
        let (loops, all) = (LEVELS + 1, usize::MAX);
        let body = format!("{} nop {}", "loop nop ".repeat(loops), "local.get 0 br_if 0 end ".repeat(loops));
        let known = (1..LEVELS).chain([all; 3]).collect::<Vec<_>>();
        check(&body, &known);
        // Also where it is the outer one of two that are not told apart.
        let body = format!("{} loop nop loop br 1 end end {}", "loop ".repeat(LEVELS - 1), "end ".repeat(LEVELS - 1));
        check(&body, &[all]);
    }

    #[test]
    fn a_turn_may_go_by_without_it() {
        check("loop local.get 0 if nop end nop local.get 0 br_if 0 end", &[4.0, 8.0]);
        check("loop local.get 0 if nop else nop end nop local.get 0 br_if 0 end", &[4.0, 4.0, 8.0]);
        check("loop block local.get 0 br_if 0 nop end nop local.get 0 br_if 0 end", &[4.0, 8.0]);
        // What leaves the loop takes no turn.
        check("block loop local.get 0 br_if 1 nop br 0 end end nop", &[8.0, 1.0]);
        // Two arms after a choice.
        check("loop block block local.get 0 br_table 0 1 end nop br 0 end nop local.get 0 br_if 0 end", &[4.0, 8.0]);
    }

    #[test]
    fn many_loops_are_taken_for_fewer() {
        let loops = 100;
        let body = format!("{} nop {}", "loop ".repeat(loops), "local.get 0 br_if 0 end ".repeat(loops));
        check(&body, &[8.0_f64.powi(DEEPEST as i32)]);
    }
}
