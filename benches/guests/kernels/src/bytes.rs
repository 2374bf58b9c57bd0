//! Bytes and text.

use alloc::vec;
use alloc::vec::Vec;

use crate::Random;

/// A text of made-up words.
fn text(len: usize) -> Vec<u8> {
    const PARTS: [&str; 16] = [
        "mem", "ory", "skill", "agent", " ", "note", "ing", " ", "the", " ", "of", " ", "run", "time", ". ", "host",
    ];
    let mut random = Random::new();
    let mut text = Vec::with_capacity(len + 8);
    while text.len() < len {
        text.extend_from_slice(PARTS[(random.next() >> 60) as usize].as_bytes());
    }
    text.truncate(len);
    text
}

/// An interpreter at work: five loops within each other in Brainfuck, many times.
pub(crate) fn brainfuck() -> u64 {
    const PROGRAM: &[u8] = b"++++++++[>++++++++[>++++++++[>++++++++[>++++++++[>+.<-]<-]<-]<-]<-]";
    // Where each bracket's other one is.
    let mut other = vec![0; PROGRAM.len()];
    let mut open = Vec::new();
    for (at, op) in PROGRAM.iter().enumerate() {
        match op {
            b'[' => open.push(at),
            b']' => {
                let start: usize = open.pop().unwrap_or(0);
                other[at] = start;
                other[start] = at;
            }
            _ => {}
        }
    }
    let mut sum: u64 = 0;
    for _ in 0..3 {
        let mut tape = [0_u8; 4096];
        let (mut head, mut at, mut steps) = (64_usize, 0, 0_u32);
        while at < PROGRAM.len() && steps < 1_000_000 {
            match PROGRAM[at] {
                b'>' => head = (head + 1) % tape.len(),
                b'<' => head = (head + tape.len() - 1) % tape.len(),
                b'+' => tape[head] = tape[head].wrapping_add(1),
                b'-' => tape[head] = tape[head].wrapping_sub(1),
                b'.' => sum = sum.wrapping_mul(31).wrapping_add(tape[head].into()),
                b'[' if tape[head] == 0 => at = other[at],
                b']' if tape[head] != 0 => at = other[at],
                _ => {}
            }
            at += 1;
            steps += 1;
        }
        sum = sum.wrapping_add(steps.into());
    }
    sum
}

/// Compresses a text by back references (LZ77 with a hash of three bytes), and restores it.
pub(crate) fn lz() -> u64 {
    let text = text(300_000);
    let mut latest = vec![usize::MAX; 1 << 14];
    let mut out: Vec<(u16, u8, u8)> = Vec::new();
    let mut at = 0;
    while at + 3 < text.len() {
        let three = u32::from_le_bytes([text[at], text[at + 1], text[at + 2], 0]);
        let slot = (three.wrapping_mul(0x9E37_79B1) >> 18) as usize;
        let from = core::mem::replace(&mut latest[slot], at);
        let mut len = 0;
        if from != usize::MAX && at - from < 65_536 {
            while len < 255 && at + len + 1 < text.len() && text[from + len] == text[at + len] {
                len += 1;
            }
        }
        let distance = if len > 0 { (at - from) as u16 } else { 0 };
        out.push((distance, len as u8, text[at + len]));
        at += len + 1;
    }
    let mut restored: Vec<u8> = Vec::with_capacity(text.len());
    for (distance, len, next) in &out {
        let from = restored.len() - usize::from(*distance);
        for step in 0..usize::from(*len) {
            restored.push(restored[from + step]);
        }
        restored.push(*next);
    }
    out.len() as u64 + u64::from(text.starts_with(&restored))
}

/// SHA-256 of a text (FIPS 180-4).
pub(crate) fn sha256() -> u64 {
    let mut roots = [0_u32; 64];
    let mut state = [0_u32; 8];
    // The constants are fractions of roots of the first primes; any will do for the work they make.
    let mut random = Random::new();
    roots.fill_with(|| random.next() as u32);
    state.fill_with(|| random.next() as u32);
    for block in text(400_000).chunks_exact(64) {
        let mut words = [0_u32; 64];
        for (word, bytes) in words.iter_mut().zip(block.chunks_exact(4)) {
            *word = u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
        }
        for i in 16..64 {
            let (a, b) = (words[i - 15], words[i - 2]);
            let low = a.rotate_right(7) ^ a.rotate_right(18) ^ (a >> 3);
            let high = b.rotate_right(17) ^ b.rotate_right(19) ^ (b >> 10);
            words[i] = words[i - 16].wrapping_add(low).wrapping_add(words[i - 7]).wrapping_add(high);
        }
        let [mut a, mut b, mut c, mut d, mut e, mut f, mut g, mut h] = state;
        for i in 0..64 {
            let high = e.rotate_right(6) ^ e.rotate_right(11) ^ e.rotate_right(25);
            let choice = (e & f) ^ (!e & g);
            let one = h.wrapping_add(high).wrapping_add(choice).wrapping_add(roots[i]).wrapping_add(words[i]);
            let low = a.rotate_right(2) ^ a.rotate_right(13) ^ a.rotate_right(22);
            let two = low.wrapping_add((a & b) ^ (a & c) ^ (b & c));
            (h, g, f, e, d, c, b, a) = (g, f, e, d.wrapping_add(one), c, b, a, one.wrapping_add(two));
        }
        for (state, word) in state.iter_mut().zip([a, b, c, d, e, f, g, h]) {
            *state = state.wrapping_add(word);
        }
    }
    state.iter().fold(0, |sum: u64, word| sum.rotate_left(8) ^ u64::from(*word))
}

/// Counts words and the letters of the longest, the way a tokenizer goes over a text.
pub(crate) fn words() -> u64 {
    let (mut count, mut longest, mut sum) = (0_u64, 0_u64, 0_u64);
    for _ in 0..8 {
        let text = text(200_000);
        let Ok(text) = core::str::from_utf8(&text) else { return 0 };
        for word in text.split_whitespace() {
            count += 1;
            longest = longest.max(word.chars().count() as u64);
            sum = word.bytes().fold(sum, |sum, byte| sum.wrapping_mul(31).wrapping_add(byte.into()));
        }
    }
    count ^ longest ^ sum
}
