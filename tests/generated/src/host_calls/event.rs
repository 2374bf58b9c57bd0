//! An event that lists calls, most of which have something to do.

use arbitrary::{Arbitrary, Result, Unstructured};
use cis_wasm_abi::{IMPORTS, ValType};

use super::guest::{END, FROM_DATA, GROW, LOG_LAST, NEXT_ALLOCATION, RECORD, RETURN, STORE, TRAP};

/// The most records of one event.
const MOST_RECORDS: usize = 24;

/// Texts that mean something to the host behind the calls.
const TEXTS: [&[u8]; 18] = [
    b"a",
    b"b",
    b"note/1",
    b"",
    b"@team/plan",
    b"@team/",
    b"@other/plan",
    b"@",
    b"\xFF\xFE",
    b"a\xC3",
    b"https://hooks.example.com/200",
    b"https://hooks.example.com/500",
    b"https://hooks.example.com/!timed%20out",
    b"https://user@hooks.example.com/",
    b"http://127.0.0.1/",
    b"!failed",
    b"!too large",
    b"\0",
];

/// Records, and the texts that they point to.
#[derive(Clone, Debug, Default)]
pub(super) struct Event {
    records: Vec<[u32; RECORD / 4]>,
    texts: Vec<u8>,
}

impl Event {
    /// The event at which the guest traps.
    pub(super) fn trap() -> Self {
        Event { records: vec![[TRAP, 0, 0, 0, 0]], texts: Vec::new() }
    }

    /// The event's data.
    pub(super) fn bytes(&self) -> Vec<u8> {
        let end = [END, 0, 0, 0, 0];
        let records = self.records.iter().chain([&end]).flatten().flat_map(|number| number.to_le_bytes());
        records.chain(self.texts.iter().copied()).collect()
    }
}

impl<'a> Arbitrary<'a> for Event {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        let count = u.int_in_range(0..=MOST_RECORDS)?;
        let mut event = Event::default();
        for _ in 0..count {
            let record = event.record(u, count)?;
            event.records.push(record);
        }
        Ok(event)
    }
}

impl Event {
    /// One record of an event that has so many.
    fn record(&mut self, u: &mut Unstructured<'_>, count: usize) -> Result<[u32; RECORD / 4]> {
        let mut record = [0; RECORD / 4];
        if u.ratio(1, 8)? {
            let op = *u.choose(&[GROW, GROW, STORE, LOG_LAST, LOG_LAST, NEXT_ALLOCATION, TRAP, RETURN])?;
            record[0] = op;
            for argument in &mut record[1..] {
                *argument = number(u)?;
            }
            return Ok(record);
        }
        let (op, import) = {
            let op = u.choose_index(IMPORTS.len())?;
            (op, &IMPORTS[op])
        };
        record[0] = op as u32;
        let mut index = 0;
        while let Some((name, ty)) = import.params.get(index) {
            debug_assert_eq!(*ty, ValType::I32, "{name}");
            let (ptr, len, from_data) =
                if name.ends_with("_ptr") { self.region(u, count)? } else { (number(u)?, 0, false) };
            record[1 + index] = ptr;
            record[0] |= u32::from(from_data) << (FROM_DATA + index as u32);
            index += 1;
            if name.ends_with("_ptr") {
                record[1 + index] = len;
                index += 1;
            }
        }
        Ok(record)
    }

    /// A pointer and a length, and whether the pointer counts from the event's data.
    fn region(&mut self, u: &mut Unstructured<'_>, count: usize) -> Result<(u32, u32, bool)> {
        // Such a call is nearly always the event's last.
        if u.ratio(1, 24)? {
            return Ok((number(u)?, number(u)?, u.arbitrary()?));
        }
        let text = match u.int_in_range(0..=15)? {
            0 => u.arbitrary::<&[u8]>()?.to_vec(),
            // Around the longest key.
            1 => vec![b'k'; u.int_in_range(500..=600)?],
            // Around the longest URL and log line.
            2 => vec![b'u'; u.int_in_range(8_180..=8_200)?],
            _ => u.choose(&TEXTS)?.to_vec(),
        };
        // Behind the records and the end's.
        let ptr = (count + 1) * RECORD + self.texts.len();
        self.texts.extend_from_slice(&text);
        Ok((ptr as u32, text.len() as u32, true))
    }
}

/// A number that is often at an edge: of memory, of its sign, of what it can say.
fn number(u: &mut Unstructured<'_>) -> Result<u32> {
    const EDGES: [u32; 8] = [0, 1, 1 << 15, 1 << 16, 1 << 17, 64 << 16, 1 << 31, u32::MAX];
    Ok(match u.int_in_range(0..=3)? {
        0 => u.arbitrary()?,
        1 => u.int_in_range(0..=70_000)?,
        _ => u.choose(&EDGES)?.wrapping_add_signed(u.int_in_range(-9..=9)?),
    })
}
