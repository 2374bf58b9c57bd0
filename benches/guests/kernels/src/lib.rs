//! Compute kernels: an event's type names one, its response is a checksum.
//!
//! They are programs of the kinds that skills are made of, not loops made to look good or bad.
#![cfg_attr(target_arch = "wasm32", no_std)]

extern crate alloc;

mod bytes;
mod numbers;
mod structures;

use cis_skill_sdk::prelude::*;

#[derive(Default)]
struct Kernels;

impl Skill for Kernels {
    fn handle(&mut self, event: Event<'_>) -> Result<Response, Error> {
        let sum = match event.kind() {
            "brainfuck" => bytes::brainfuck(),
            "btree" => structures::btree(),
            "fib" => numbers::fib(27),
            "hash-map" => structures::hash_map(),
            "json" => structures::json(),
            "lz" => bytes::lz(),
            "mandelbrot" => numbers::mandelbrot(),
            "matrix" => numbers::matrix(),
            "n-body" => numbers::n_body(),
            "sha256" => bytes::sha256(),
            "sieve" => numbers::sieve(),
            "sort" => structures::sort(),
            "words" => bytes::words(),
            _ => return Err(event.unknown()),
        };
        Ok(Response::bytes(&sum.to_le_bytes()[..]))
    }
}

cis_skill_sdk::skill!(Kernels);

/// Numbers that look like any others and are the same every time (xorshift64*, Vigna 2016).
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new() -> Self {
        Random(0x9E37_79B9_7F4A_7C15)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }
}
