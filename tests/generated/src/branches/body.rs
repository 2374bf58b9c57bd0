//! One such function.
//!
//! Invariant: it ends. Whatever may come back, to a loop's head or to a function's beginning, takes one of the steps that the
//! program has, and goes on elsewhere once there is none left; but for loops that count their turns, in which no other loop is,
//! and calls of functions further ahead.

use arbitrary::{Result, Unstructured};
use wasm_encoder::{BlockType, Function, InstructionSink, MemArg, ValType};

/// The types of functions, of the event, and of what takes a value and gives none.
pub(super) const FUNCTION: u32 = 0;
pub(super) const EVENT: u32 = 1;
pub(super) const TAKING: u32 = 2;

/// Globals: what tells one course of the program from another, and how many steps are left.
pub(super) const TRACE: u32 = 0;
pub(super) const STEPS: u32 = 1;

/// How many functions are in the table. A power of two.
pub(super) const IN_TABLE: u32 = 4;

/// The passive segment's bytes.
pub(super) const SEGMENT: [u8; 64] = *b"What runs is paid for before it runs, and nothing but that runs.";

/// Locals: the first four hold numbers, and another one counts turns.
const NUMBERS: u32 = 4;
const TURNS: u32 = NUMBERS;

/// The most statements of a function.
const MOST: u32 = 60;
/// Blocks are within one another so deep, but for [`Body::tower`].
const DEEPEST: usize = 7;
/// More loops than metering tells apart.
const TOWER: u32 = 70;

/// Which functions one calls.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Calls {
    /// All of so many, and those in the table. Such a function takes a step where it begins.
    Any(u32),
    /// Once, one of a lower number. Those take none.
    OneBelow(u32),
}

/// What a branch may lead to.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Label {
    to: To,
    /// Whether it takes a value.
    value: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum To {
    /// Further ahead.
    End,
    /// The head of a loop, which takes a step.
    Head,
    /// The head of a loop, where whoever branches has to take a step.
    HeadForAStep,
    /// Where no branch leads.
    Nowhere,
}

/// A function that is being written. Every statement leaves the stack as it was.
pub(super) struct Body {
    function: Function,
    /// Of all that is open, from the outside.
    labels: Vec<Label>,
    calls: Calls,
    /// How many statements it may still have.
    room: u32,
    /// Whether it is in a loop that counts its turns.
    counting: bool,
}

impl Body {
    /// A function that takes and returns a number.
    pub(super) fn function(u: &mut Unstructured<'_>, calls: Calls) -> Result<Function> {
        let room = u.int_in_range(3..=if matches!(calls, Calls::Any(_)) { MOST } else { MOST / 4 })?;
        let mut body = Body::new(NUMBERS, Label { to: To::End, value: true }, calls, room);
        if matches!(calls, Calls::Any(_)) {
            body.step(u)?;
        }
        body.statements(u)?;
        if u.ratio(1, 8)? {
            body.tower(u)?;
        }
        body.number(u)?;
        body.code().end();
        Ok(body.function)
    }

    /// The event, which calls any of so many functions, and answers with what tells one course from another.
    pub(super) fn event(u: &mut Unstructured<'_>, count: u32) -> Result<Function> {
        const ANSWER: u32 = 16;
        let mut body = Body::new(1, Label { to: To::Nowhere, value: false }, Calls::Any(count), MOST / 2);
        for local in 0..NUMBERS {
            let number = u.arbitrary()?;
            body.code().i32_const(number).local_set(local);
        }
        body.block(u, Shape::VALUE)?;
        body.code().i32_const(u.int_in_range(-9..=9)?).call(u.int_in_range(0..=count - 1)?);
        body.trace();
        body.code().i32_const(ANSWER as i32).global_get(TRACE).i32_store(AT_0);
        body.code().i64_const((i64::from(ANSWER) << 32) | 4).end();
        Ok(body.function)
    }

    fn new(locals: u32, label: Label, calls: Calls, room: u32) -> Self {
        let function = Function::new([(locals, ValType::I32)]);
        Body { function, labels: vec![label], calls, room, counting: false }
    }

    fn code(&mut self) -> InstructionSink<'_> {
        self.function.instructions()
    }

    fn statements(&mut self, u: &mut Unstructured<'_>) -> Result<()> {
        for _ in 0..u.int_in_range(0..=6)? {
            if self.room > 0 {
                self.room -= 1;
                self.statement(u)?;
            }
        }
        Ok(())
    }

    fn statement(&mut self, u: &mut Unstructured<'_>) -> Result<()> {
        let nests = self.labels.len() < DEEPEST;
        match u.int_in_range(0..=25)? {
            0 => {
                let (from, to) = (u.int_in_range(0..=NUMBERS - 1)?, u.int_in_range(0..=NUMBERS - 1)?);
                self.code().local_get(from).local_set(to);
            }
            1..=3 if nests => {
                let shape = Shape::any(u)?;
                self.block(u, shape)?;
            }
            4..=8 if nests && !self.counting => {
                let shape = Shape::any(u)?;
                self.turns(u, shape)?;
            }
            9 | 10 if !self.counting => self.counted(u)?,
            11..=13 if nests => self.choice(u)?,
            14 if nests => {
                // Something beneath what comes.
                self.number(u)?;
                self.statements(u)?;
                self.trace();
            }
            15..=18 => self.branch_if(u)?,
            19 => self.branch(u)?,
            20 => {
                if let Some(depth) = self.any_target(u)? {
                    self.branch_by_table(u, depth)?;
                }
            }
            21 => self.call(u)?,
            22 => self.bulk(u)?,
            23 if self.labels[0].to == To::End && u.arbitrary()? => {
                self.number(u)?;
                self.code().return_();
            }
            24 if u.ratio(1, 8)? => {
                // More than a stretch of code that is paid for at once has.
                (0..70).for_each(|_| {
                    self.code().local_get(0).drop();
                });
            }
            25 if u.ratio(1, 16)? => self.trap(u)?,
            _ => {
                self.number(u)?;
                self.trace();
            }
        }
        Ok(())
    }

    /// Puts a number on the stack.
    fn number(&mut self, u: &mut Unstructured<'_>) -> Result<()> {
        let local = u.int_in_range(0..=NUMBERS - 1)?;
        let mut code = self.code();
        match u.int_in_range(0..=3)? {
            0 => code.i32_const(u.int_in_range(-3..=20)?),
            1 => code.local_get(local),
            2 => code.local_get(local).i32_const(1).i32_sub().local_tee(local),
            _ => {
                let (times, and) = (u.int_in_range(0..=20)? * 4 + 1, u.int_in_range(0..=100)? * 2 + 1);
                code.local_get(local).i32_const(times).i32_mul().i32_const(and).i32_add().local_tee(local)
            }
        };
        Ok(())
    }

    /// Puts a number on the stack that is 0 now and then.
    fn condition(&mut self, u: &mut Unstructured<'_>) -> Result<()> {
        self.number(u)?;
        match u.int_in_range(0..=3)? {
            0 => {}
            1 => {
                self.code().i32_const(4).i32_and();
            }
            2 => {
                self.code().i32_const(12).i32_and();
            }
            _ => {
                self.code().i32_const(24).i32_and().i32_eqz();
            }
        }
        Ok(())
    }

    /// Takes a number off the stack, so that it makes a difference.
    fn trace(&mut self) {
        self.code().global_get(TRACE).i32_const(31).i32_mul().i32_add().global_set(TRACE);
    }

    /// Opens a block, and puts its value on the stack where it needs one.
    fn open(&mut self, u: &mut Unstructured<'_>, shape: Shape) -> Result<()> {
        if shape.takes { self.number(u) } else { Ok(()) }
    }

    /// Ends what is open, with a value where it has one.
    fn close(&mut self, u: &mut Unstructured<'_>, shape: Shape) -> Result<()> {
        if shape.gives {
            self.number(u)?;
        }
        self.code().end();
        self.labels.pop();
        if shape.gives {
            self.trace();
        }
        Ok(())
    }

    fn block(&mut self, u: &mut Unstructured<'_>, shape: Shape) -> Result<()> {
        self.open(u, shape)?;
        self.code().block(shape.ty());
        self.labels.push(Label { to: To::End, value: shape.gives });
        if shape.takes {
            self.trace();
        }
        self.statements(u)?;
        self.close(u, shape)
    }

    fn choice(&mut self, u: &mut Unstructured<'_>) -> Result<()> {
        let shape = Shape { takes: false, ..Shape::any(u)? };
        self.condition(u)?;
        self.code().if_(shape.ty());
        self.labels.push(Label { to: To::End, value: shape.gives });
        self.statements(u)?;
        if shape.gives || u.arbitrary()? {
            if shape.gives {
                self.number(u)?;
            }
            self.code().else_();
            self.statements(u)?;
        }
        self.close(u, shape)
    }

    /// A loop.
    fn turns(&mut self, u: &mut Unstructured<'_>, shape: Shape) -> Result<()> {
        let to = if u.arbitrary()? { To::Head } else { To::HeadForAStep };
        self.open(u, shape)?;
        self.code().loop_(shape.ty());
        self.labels.push(Label { to, value: shape.takes });
        if shape.takes {
            self.trace();
        }
        if to == To::Head {
            self.step(u)?;
        }
        self.statements(u)?;
        self.turn_round(u)?;
        self.close(u, shape)
    }

    /// At a loop's end, what may lead back to its head.
    fn turn_round(&mut self, u: &mut Unstructured<'_>) -> Result<()> {
        match u.int_in_range(0..=5)? {
            0 | 1 => self.branch_to_if(u, 0),
            2 | 3 => {
                // From within an arm, or from both.
                self.condition(u)?;
                self.code().if_(BlockType::Empty);
                self.labels.push(Label { to: To::End, value: false });
                self.statements(u)?;
                let first = u.arbitrary()?;
                if first {
                    self.branch_to(u, 1)?;
                }
                self.code().else_();
                self.statements(u)?;
                if !first || u.arbitrary()? {
                    self.branch_to(u, 1)?;
                }
                self.close(u, Shape::PLAIN)
            }
            4 => self.branch_by_table(u, 0),
            _ => Ok(()),
        }
    }

    /// A loop that counts its turns, and has no other in it.
    fn counted(&mut self, u: &mut Unstructured<'_>) -> Result<()> {
        self.code().i32_const(u.int_in_range(1..=9)?).local_set(TURNS).loop_(BlockType::Empty);
        self.labels.push(Label { to: To::HeadForAStep, value: false });
        self.counting = true;
        self.statements(u)?;
        self.counting = false;
        self.code().local_get(TURNS).i32_const(1).i32_sub().local_tee(TURNS).br_if(0);
        self.close(u, Shape::PLAIN)
    }

    /// Many loops within one another.
    fn tower(&mut self, u: &mut Unstructured<'_>) -> Result<()> {
        let outside = self.labels.len();
        for _ in 0..u.int_in_range(TOWER - 10..=TOWER)? {
            self.code().loop_(BlockType::Empty);
            self.labels.push(Label { to: To::HeadForAStep, value: false });
            if u.ratio(1, 8)? {
                self.branch_if(u)?;
            }
        }
        self.room += 6;
        self.statements(u)?;
        while self.labels.len() > outside {
            if u.ratio(1, 4)? {
                self.branch_if(u)?;
            }
            self.close(u, Shape::PLAIN)?;
        }
        Ok(())
    }

    /// Takes a step, and branches ahead when there is none.
    fn step(&mut self, u: &mut Unstructured<'_>) -> Result<()> {
        let ahead = self.targets(|label| label.to == To::End);
        let depth = *u.choose(&ahead)?;
        if self.label(depth).value {
            self.number(u)?;
            self.code().global_get(STEPS).i32_eqz().br_if(depth).drop();
        } else {
            self.code().global_get(STEPS).i32_eqz().br_if(depth);
        }
        self.code().global_get(STEPS).i32_const(1).i32_sub().global_set(STEPS);
        Ok(())
    }

    fn label(&self, depth: u32) -> Label {
        self.labels[self.labels.len() - 1 - depth as usize]
    }

    /// The depths of labels.
    fn targets(&self, wanted: impl Fn(Label) -> bool) -> Vec<u32> {
        (0..self.labels.len() as u32).filter(|depth| wanted(self.label(*depth))).collect()
    }

    /// Where a branch may lead, the innermost loop's head more often than others. Nowhere in the event, outside of all blocks.
    fn any_target(&self, u: &mut Unstructured<'_>) -> Result<Option<u32>> {
        let head = self.targets(|label| matches!(label.to, To::Head | To::HeadForAStep)).first().copied();
        let all = self.targets(|label| label.to != To::Nowhere);
        match head {
            Some(head) if u.ratio(1, 3)? => Ok(Some(head)),
            _ if all.is_empty() => Ok(None),
            _ => Ok(Some(*u.choose(&all)?)),
        }
    }

    fn branch_if(&mut self, u: &mut Unstructured<'_>) -> Result<()> {
        match self.any_target(u)? {
            Some(depth) => self.branch_to_if(u, depth),
            None => Ok(()),
        }
    }

    /// What comes before a branch, and whether it takes a value along.
    fn before_branch(&mut self, u: &mut Unstructured<'_>, depth: u32) -> Result<bool> {
        let Label { to, value } = self.label(depth);
        if to == To::HeadForAStep {
            self.step(u)?;
        }
        if value {
            self.number(u)?;
        }
        Ok(value)
    }

    fn branch_to_if(&mut self, u: &mut Unstructured<'_>, depth: u32) -> Result<()> {
        let value = self.before_branch(u, depth)?;
        self.condition(u)?;
        self.code().br_if(depth);
        if value {
            self.code().drop();
        }
        Ok(())
    }

    fn branch(&mut self, u: &mut Unstructured<'_>) -> Result<()> {
        match self.any_target(u)? {
            Some(depth) => self.branch_to(u, depth),
            None => Ok(()),
        }
    }

    fn branch_to(&mut self, u: &mut Unstructured<'_>, depth: u32) -> Result<()> {
        self.before_branch(u, depth)?;
        self.code().br(depth);
        Ok(())
    }

    /// Branches by a number to where it leads, among others.
    fn branch_by_table(&mut self, u: &mut Unstructured<'_>, depth: u32) -> Result<()> {
        // All of them have to take the same.
        let Label { value, .. } = self.label(depth);
        let targets = self.targets(|label| label.to != To::Nowhere && label.value == value);
        let mut chosen = (0..u.int_in_range(0..=4)?).map(|_| Ok(*u.choose(&targets)?)).collect::<Result<Vec<_>>>()?;
        chosen.insert(u.int_in_range(0..=chosen.len())?, depth);
        if chosen.iter().any(|depth| self.label(*depth).to == To::HeadForAStep) {
            self.step(u)?;
        }
        if value {
            self.number(u)?;
        }
        self.number(u)?;
        let (default, others) = chosen.split_first().expect("there is one at least");
        self.code().i32_const(3).i32_and().br_table(others.to_vec(), *default);
        Ok(())
    }

    /// Calls a function, or one in the table.
    fn call(&mut self, u: &mut Unstructured<'_>) -> Result<()> {
        match &mut self.calls {
            Calls::OneBelow(count @ 1..) if !self.counting => {
                let callee = u.int_in_range(0..=*count - 1)?;
                *count = 0;
                self.number(u)?;
                self.code().call(callee);
            }
            Calls::Any(count) => {
                let callee = u.int_in_range(0..=*count - 1)?;
                self.number(u)?;
                if u.ratio(1, 3)? {
                    self.number(u)?;
                    self.code().i32_const(IN_TABLE as i32 - 1).i32_and().call_indirect(0, FUNCTION);
                } else {
                    self.code().call(callee);
                }
            }
            Calls::OneBelow(_) => self.number(u)?,
        }
        self.trace();
        Ok(())
    }

    /// An operation over a length, and a look at what it did.
    fn bulk(&mut self, u: &mut Unstructured<'_>) -> Result<()> {
        let kind = u.int_in_range(0..=4)?;
        if kind < 3 {
            self.address(u)?;
        }
        match kind {
            0 | 1 => {
                if kind == 0 {
                    self.address(u)?
                } else {
                    self.number(u)?
                }
                if u.arbitrary()? {
                    self.number(u)?;
                    self.code().i32_const(0x1FF).i32_and();
                } else {
                    self.code().i32_const(u.int_in_range(0..=100)?);
                }
                let mut code = self.code();
                if kind == 0 {
                    code.memory_copy(0, 0)
                } else {
                    code.memory_fill(0)
                };
            }
            2 => {
                let (from, len) = (u.int_in_range(0..=32)?, u.int_in_range(0..=32)?);
                self.code().i32_const(from).i32_const(len).memory_init(0, 0);
            }
            3 => {
                self.code().i32_const(0).memory_grow(0).drop();
            }
            _ => {}
        }
        self.address(u)?;
        self.code().i32_load(AT_0);
        self.trace();
        Ok(())
    }

    /// Puts an address within memory on the stack, with room behind it.
    fn address(&mut self, u: &mut Unstructured<'_>) -> Result<()> {
        self.number(u)?;
        self.code().i32_const(0xFFF).i32_and();
        Ok(())
    }

    /// Traps now and then, perhaps behind a call that does not expect to return.
    fn trap(&mut self, u: &mut Unstructured<'_>) -> Result<()> {
        self.condition(u)?;
        self.code().if_(BlockType::Empty);
        match u.int_in_range(0..=2)? {
            0 => {
                self.code().i32_const(1).i32_const(0).i32_div_u().drop();
            }
            1 => {
                self.code().unreachable();
            }
            _ => {
                self.number(u)?;
                if let Calls::Any(count) = self.calls {
                    self.code().call(u.int_in_range(0..=count - 1)?);
                }
                self.code().unreachable();
            }
        }
        self.code().end();
        Ok(())
    }
}

const AT_0: MemArg = MemArg { offset: 0, align: 0, memory_index: 0 };

/// What a block takes and gives.
#[derive(Clone, Copy)]
struct Shape {
    takes: bool,
    gives: bool,
}

impl Shape {
    const PLAIN: Shape = Shape { takes: false, gives: false };
    const VALUE: Shape = Shape { takes: false, gives: true };

    /// One of those there are, mostly a plain one.
    fn any(u: &mut Unstructured<'_>) -> Result<Self> {
        Ok(Shape { takes: u.ratio(1, 4)?, gives: u.ratio(1, 4)? })
    }

    fn ty(self) -> BlockType {
        match (self.takes, self.gives) {
            (false, false) => BlockType::Empty,
            (false, true) => BlockType::Result(ValType::I32),
            (true, false) => BlockType::FunctionType(TAKING),
            (true, true) => BlockType::FunctionType(FUNCTION),
        }
    }
}
