//! What of a module is carried past the rewriting.
//!
//! Data segments can be nearly all of a module, and no rewriting changes a byte of them: what they hold and where it goes
//! names no function, and globals are added behind the others. So they are taken off first and put back before the
//! compiler, and are not copied by each of the steps between. Custom sections are taken off for good, but for the names
//! that traps are told with: nothing that runs reads them.

use std::ops::Range;

use wasm_encoder::{DataCountSection, RawSection, Section, SectionId};
use wasmparser::{BinaryReaderError, Parser, Payload};

/// A valid module without its ballast.
pub(crate) struct Unladen<'a> {
    /// All that is rewritten.
    pub wasm: Vec<u8>,
    /// The length of each data segment in bytes.
    pub segments: Vec<u32>,
    pub data: Data<'a>,
}

/// The sections about data, so far as there are any.
#[derive(Clone, Copy, Default)]
pub(crate) struct Data<'a> {
    /// How many segments there are, which stands before the code. It may not stand there without them.
    count: Option<u32>,
    segments: Option<&'a [u8]>,
}

impl<'a> Unladen<'a> {
    pub(crate) fn of(wasm: &'a [u8]) -> Result<Self, BinaryReaderError> {
        let mut unladen = wasm_encoder::Module::new();
        let (mut data, mut segments) = (Data::default(), Vec::new());
        let bytes = |range: Range<u64>| &wasm[range.start as usize..range.end as usize];
        for payload in Parser::new(0).parse_all(wasm) {
            let payload = payload?;
            match &payload {
                Payload::CustomSection(section) if section.name() != "name" => {}
                Payload::DataCountSection { count, .. } => data.count = Some(*count),
                Payload::DataSection(section) => {
                    data.segments = Some(bytes(section.range()));
                    for segment in section.clone() {
                        segments.push(segment?.data.len() as u32);
                    }
                }
                other => {
                    if let Some((id, range)) = other.as_section() {
                        unladen.section(&RawSection { id, data: bytes(range) });
                    }
                }
            }
        }
        Ok(Unladen { wasm: unladen.finish(), segments, data })
    }
}

impl Data<'_> {
    /// Puts the data section behind the rest of a module, and the number of segments before the code.
    pub(crate) fn put_back(self, wasm: &mut Vec<u8>) -> Result<(), BinaryReaderError> {
        // To the byte, and at once: doubling would hold twice as much for a moment.
        wasm.reserve_exact(self.segments.map_or(0, <[u8]>::len) + MOST_HEADERS);
        if let Some(count) = self.count {
            let before_code = before_code(wasm)?;
            let mut section = Vec::new();
            DataCountSection { count }.append_to(&mut section);
            wasm.splice(before_code..before_code, section);
        }
        if let Some(segments) = self.segments {
            RawSection { id: SectionId::Data.into(), data: segments }.append_to(wasm);
        }
        Ok(())
    }
}

/// Two sections' numbers and their lengths, and the number of segments.
const MOST_HEADERS: usize = 2 * (1 + 5) + 5;

/// Where the section before the code ends.
fn before_code(wasm: &[u8]) -> Result<usize, BinaryReaderError> {
    let mut end = wasm_encoder::Module::HEADER.len();
    for payload in Parser::new(0).parse_all(wasm) {
        match payload? {
            Payload::CodeSectionStart { .. } => break,
            payload => end = payload.as_section().map_or(end, |(_, range)| range.end as usize),
        }
    }
    Ok(end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_taken_off_comes_back() {
        let text = r#"(module (@custom "padding" "heavy") (memory 1) (func $named (memory.init 1 (i32.const 0) (i32.const 0) (i32.const 1)))
            (data (i32.const 8) "active") (data "passive and longer") (@custom "more" "of it"))"#;
        let wasm = wat::parse_str(text).unwrap();
        let Unladen { wasm: mut rest, segments, data } = Unladen::of(&wasm).unwrap();
        assert_eq!(segments, [6, 18]);
        let has = |wasm: &[u8], text: &str| wasm.windows(text.len()).any(|bytes| bytes == text.as_bytes());
        for (text, stays) in
            [("named", true), ("heavy", false), ("of it", false), ("active", false), ("passive", false)]
        {
            assert_eq!(has(&rest, text), stays, "{text}");
        }
        data.put_back(&mut rest).unwrap();
        assert!(rest.capacity() <= rest.len() + MOST_HEADERS);
        wasmparser::validate(&rest).unwrap();
        assert!(has(&rest, "active") && has(&rest, "passive and longer"));
    }

    #[test]
    fn a_module_without_data_stays_one() {
        let wasm = wat::parse_str("(module (func))").unwrap();
        let Unladen { wasm: mut rest, data, .. } = Unladen::of(&wasm).unwrap();
        data.put_back(&mut rest).unwrap();
        assert_eq!(rest, wasm);
    }
}
