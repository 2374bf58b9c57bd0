//! Short loops, written out twice, so that they pay for two turns at once.
//!
//! A loop over bytes does some ten instructions a turn, and paying for each turn is two or three more. So
//!
//! ```text
//! loop          block                      ;; out
//!   body          loop                     ;; again
//! end               block                  ;; second
//!                     body  br $out
//!                   end
//!                   body
//!                 end
//!               end
//! ```
//!
//! where a branch to the loop's head leads from the first body to the second, and from the second to `again`. It does what the
//! loop did, in the same order. A loop that ends in its first body has paid for one turn too much.
//!
//! Invariant: which loops are written out follows from the function's code alone, so that the count is the same wherever a
//! module runs; and a function grows by at most [`most_more`] instructions.

use wasmparser::{BlockType, Operator};

use super::bulk::is_copy;
use super::often::{Flow, Opened};
use super::plan::{cost, is_bulk};

/// The dearest turn that is worth it. A longer one does so much that paying is little beside it.
const DEAREST_TURN: u32 = 32;

/// The longest loop, in instructions, with what stands in it and is of no turn.
const LONGEST: usize = 128;

/// By how many instructions a function of so many may grow.
fn most_more(operators: usize) -> usize {
    256 + operators / 4
}

/// A loop that is written out: the indices of its `loop` and of its `end`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Twice {
    start: usize,
    end: usize,
}

/// The loops of a function that are worth it, in order.
pub(super) fn loops(operators: &[Operator<'_>], flow: &Flow) -> Vec<Twice> {
    let mut found = Vec::new();
    let mut room = most_more(operators.len());
    // Of all open blocks: where each was opened, and how many loops are open with it.
    let mut open: Vec<(usize, usize)> = Vec::new();
    // The loop that was opened last: none that ends before another began has a loop in it.
    let mut innermost = None;
    for (index, operator) in operators.iter().enumerate() {
        match Opened::of(operator) {
            Some(opened) => {
                let loops = open.last().map_or(0, |(_, loops)| *loops) + usize::from(opened == Opened::Loop);
                open.push((index, loops));
                if opened == Opened::Loop {
                    innermost = Some(index);
                }
            }
            None if matches!(operator, Operator::End) => {
                let Some((start, loops)) = open.pop() else { continue };
                if innermost == Some(start) {
                    innermost = None;
                    let more = index - start;
                    if more < room
                        && is_worth_it(&operators[start..index], &flow.often[start..], &flow.loops[start..], loops)
                    {
                        room -= more;
                        found.push(Twice { start, end: index });
                    }
                }
            }
            None => {}
        }
    }
    found
}

/// Whether a loop is, the last of so many around its code, given from its `loop` on.
fn is_worth_it(operators: &[Operator<'_>], often: &[u64], loops: &[usize], all: usize) -> bool {
    let of_a_turn = |index: &usize| loops[*index] == all;
    let turn: u32 = (0..operators.len()).filter(of_a_turn).map(|index| cost(&operators[index])).sum();
    // Beside such an instruction in every turn, paying is little; where it is rare, it does not matter.
    let heavy = |operator: &Operator<'_>| {
        matches!(operator, Operator::Call { .. } | Operator::CallIndirect { .. })
            || is_bulk(operator)
            || is_copy(operator)
    };
    let head = often[1];
    let in_every_turn = |index: usize| heavy(&operators[index]) && often[index] >= head;
    matches!(operators[0], Operator::Loop { blockty: BlockType::Empty })
        && operators.len() <= LONGEST
        && of_a_turn(&1)
        && turn <= DEAREST_TURN
        && !operators.iter().any(|operator| matches!(operator, Operator::BrTable { .. }))
        && !(1..operators.len()).any(in_every_turn)
}

/// A function's code with these loops of it written out.
pub(super) fn written_out<'a>(operators: Vec<Operator<'a>>, loops: &[Twice]) -> Vec<Operator<'a>> {
    if loops.is_empty() {
        return operators;
    }
    let mut out = Vec::with_capacity(operators.len() + most_more(operators.len()));
    let mut next = 0;
    for Twice { start, end } in loops {
        out.extend_from_slice(&operators[next..*start]);
        let body = &operators[start + 1..*end];
        let block = Operator::Block { blockty: BlockType::Empty };
        out.extend([block.clone(), Operator::Loop { blockty: BlockType::Empty }, block]);
        // Out of the first one there are two blocks more than there were, `again` and `out`.
        copy(body, 2, &mut out);
        out.extend([Operator::Br { relative_depth: 2 }, Operator::End]);
        copy(body, 1, &mut out);
        out.extend([Operator::End, Operator::End]);
        next = end + 1;
    }
    out.extend_from_slice(&operators[next..]);
    out
}

/// Copies a loop's body to where so many blocks more have to be left on the way out of the loop.
fn copy<'a>(body: &[Operator<'a>], more: u32, out: &mut Vec<Operator<'a>>) {
    let mut inside = 0;
    for operator in body {
        let moved = |depth: u32| if depth > inside { depth + more } else { depth };
        out.push(match operator {
            Operator::Br { relative_depth } => Operator::Br { relative_depth: moved(*relative_depth) },
            Operator::BrIf { relative_depth } => Operator::BrIf { relative_depth: moved(*relative_depth) },
            operator => operator.clone(),
        });
        match operator {
            Operator::End => inside -= 1,
            operator if Opened::of(operator).is_some() => inside += 1,
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use wasmparser::{Validator, WasmFeatures};

    use super::super::tests::operators;
    use super::*;

    fn module(body: &str) -> Vec<u8> {
        let functions = format!("(func (param i32) (result i32) {body} i32.const 7) (func) (memory 1)");
        let wasm = wat::parse_str(format!("(module {functions})")).unwrap();
        Validator::new_with_features(WasmFeatures::WASM2).validate_all(&wasm).unwrap();
        wasm
    }

    /// What a function is written out as.
    #[track_caller]
    fn check(body: &str, expected: &str) {
        let (wasm, expected) = (module(body), module(expected));
        let code = operators(&wasm);
        let loops = loops(&code, &Flow::of(&code));
        assert_eq!(written_out(code, &loops), operators(&expected));
    }

    #[track_caller]
    fn check_left_alone(body: &str) {
        check(body, body);
    }

    #[test]
    fn a_short_loop_is_written_out() {
        check(
            "loop local.get 0 br_if 0 end",
            "block loop block local.get 0 br_if 0 br 2 end local.get 0 br_if 0 end end",
        );
        // Branches out of it, from blocks of its own, and back to its head from there.
        check(
            "block loop block local.get 0 br_if 0 local.get 0 br_if 2 br 1 end local.get 0 br_if 0 end end",
            "block block loop
               block block local.get 0 br_if 0 local.get 0 br_if 4 br 1 end local.get 0 br_if 0 br 2 end
               block local.get 0 br_if 0 local.get 0 br_if 3 br 1 end local.get 0 br_if 0
             end end end",
        );
        // Of two within one another, the inner one.
        check(
            "loop loop local.get 0 br_if 0 end local.get 0 br_if 0 end",
            "loop block loop block local.get 0 br_if 0 br 2 end local.get 0 br_if 0 end end local.get 0 br_if 0 end",
        );
    }

    #[test]
    fn others_are_left_alone() {
        check_left_alone("");
        // No loop at all, by what it does.
        check_left_alone("loop nop end");
        check_left_alone("block loop nop local.get 0 br_if 1 end end");
        // One that is dear, that calls in every turn, that chooses, that has a value.
        check_left_alone(&format!(
            "loop {} local.get 0 br_if 0 end",
            "local.get 0 drop ".repeat(DEAREST_TURN as usize / 2)
        ));
        check_left_alone("loop call 1 local.get 0 br_if 0 end");
        check_left_alone("loop i32.const 0 i32.const 0 local.get 0 memory.fill local.get 0 br_if 0 end");
        check_left_alone("block loop local.get 0 br_table 0 1 end end");
        check_left_alone("loop (result i32) local.get 0 local.get 0 br_if 0 end drop");
    }

    #[test]
    fn what_is_rare_in_a_loop_does_not_matter() {
        for sometimes in ["local.get 0 if call 1 end", "local.get 0 if call 1 i32.const 1 return end"] {
            let code = module(&format!("loop {sometimes} local.get 0 br_if 0 end"));
            let code = operators(&code);
            assert_eq!(loops(&code, &Flow::of(&code)).len(), 1, "{sometimes}");
        }
    }

    #[test]
    fn a_function_grows_by_so_much_and_no_more() {
        let body = "loop local.get 0 br_if 0 end ".repeat(1000);
        let wasm = module(&body);
        let code = operators(&wasm);
        let loops = loops(&code, &Flow::of(&code));
        let len = code.len();
        let more = written_out(code, &loops).len() - len;
        assert!((100..=3 * most_more(len)).contains(&more), "{more}");
    }
}
