//! What of an instance's state cannot be set back.
//!
//! An instance has linear memory, globals, tables, and segments that may have been dropped; it has nothing else. Memory and
//! the numbers in globals can be set back ([`crate::reset`]). This finds modules whose code can change anything more.
//!
//! What was found is told with the code: it is the name of an export that metering adds, so that it is in an artifact too.

use wasmparser::{BinaryReaderError, Operator, Parser, Payload, ValType};

/// Whether a valid module's code can change more than memory and numbers in globals.
pub(crate) fn lasts(wasm: &[u8]) -> Result<bool, BinaryReaderError> {
    for payload in Parser::new(0).parse_all(wasm) {
        match payload? {
            Payload::GlobalSection(globals) => {
                for global in globals {
                    let ty = global?.ty;
                    if ty.mutable && matches!(ty.content_type, ValType::Ref(_)) {
                        return Ok(true);
                    }
                }
            }
            Payload::CodeSectionEntry(body) => {
                for operator in body.get_operators_reader()? {
                    if changes_more(&operator?) {
                        return Ok(true);
                    }
                }
            }
            _ => {}
        }
    }
    Ok(false)
}

/// Of all operations in [`crate::check::FEATURES`], those that change tables or segments.
fn changes_more(operator: &Operator<'_>) -> bool {
    matches!(
        operator,
        Operator::TableSet { .. }
            | Operator::TableGrow { .. }
            | Operator::TableFill { .. }
            | Operator::TableCopy { .. }
            | Operator::TableInit { .. }
            | Operator::DataDrop { .. }
            | Operator::ElemDrop { .. }
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ballast::Unladen;
    use crate::meter::{LASTING, Metering, rewrite};

    #[track_caller]
    fn check(fields: &str, expected: bool) {
        let wasm = wat::parse_str(format!("(module (memory 1) {fields})")).unwrap();
        assert_eq!(lasts(&wasm).unwrap(), expected, "{fields}");
        let Unladen { wasm, segments, .. } = Unladen::of(&wasm).unwrap();
        let metered = rewrite(&wasm, &segments, Metering::Asks).unwrap();
        let told = Parser::new(0).parse_all(&metered).any(|payload| match payload.unwrap() {
            Payload::ExportSection(exports) => exports.into_iter().any(|export| export.unwrap().name == LASTING),
            _ => false,
        });
        assert_eq!(told, expected, "{fields}");
    }

    #[test]
    fn what_lasts_is_found_and_told() {
        check("", false);
        check(
            "(global (mut i32) (i32.const 0)) (table 1 funcref) (elem (i32.const 0) func 0) (func (drop (table.size 0)))",
            false,
        );
        check(r#"(data "x") (func (memory.init 0 (i32.const 0) (i32.const 0) (i32.const 0)))"#, false);
        check("(global (mut funcref) (ref.null func))", true);
        check("(global (mut externref) (ref.null extern))", true);
        check("(global externref (ref.null extern))", false);
        let table = |operation: &str| check(&format!("(table 1 funcref) (elem func 0) (func {operation})"), true);
        table("(table.set 0 (i32.const 0) (ref.null func))");
        table("(drop (table.grow 0 (ref.null func) (i32.const 0)))");
        table("(table.fill 0 (i32.const 0) (ref.null func) (i32.const 0))");
        table("(table.copy 0 0 (i32.const 0) (i32.const 0) (i32.const 0))");
        table("(table.init 0 0 (i32.const 0) (i32.const 0) (i32.const 0))");
        table("(elem.drop 0)");
        check(r#"(data "x") (func (data.drop 0))"#, true);
        // Also where it is not reached.
        check(r#"(data "x") (func (return) (data.drop 0))"#, true);
    }
}
