//! Arithmetic.

use alloc::vec;
use alloc::vec::Vec;

use crate::Random;

/// The recursive Fibonacci function: almost nothing but calls.
#[inline(never)]
pub(crate) fn fib(n: u64) -> u64 {
    if n < 2 { n } else { fib(n - 1) + fib(n - 2) }
}

/// How many points of a grid stay within the Mandelbrot set's bound.
pub(crate) fn mandelbrot() -> u64 {
    let mut inside = 0;
    for row in 0..160 {
        for column in 0..160 {
            let (cx, cy) = (f64::from(column) / 80.0 - 1.5, f64::from(row) / 80.0 - 1.0);
            let (mut x, mut y, mut steps) = (0.0, 0.0, 0);
            while x * x + y * y <= 4.0 && steps < 200 {
                (x, y) = (x * x - y * y + cx, 2.0 * x * y + cy);
                steps += 1;
            }
            inside += u64::from(steps == 200);
        }
    }
    inside
}

/// The product of two square matrices.
pub(crate) fn matrix() -> u64 {
    const N: usize = 160;
    let mut random = Random::new();
    let mut filled = || (0..N * N).map(|_| (random.next() % 1000) as f64).collect::<Vec<_>>();
    let (a, b) = (filled(), filled());
    let mut product = vec![0.0; N * N];
    for row in 0..N {
        for column in 0..N {
            product[row * N + column] = (0..N).map(|k| a[row * N + k] * b[k * N + column]).sum();
        }
    }
    product.iter().fold(0, |sum: u64, cell: &f64| sum.wrapping_add(*cell as u64))
}

/// Planets around a sun, by Euler's method.
pub(crate) fn n_body() -> u64 {
    const BODIES: usize = 5;
    let mut random = Random::new();
    let mut unit = || (random.next() % 2_000) as f64 / 1_000.0 - 1.0;
    let mut place: [[f64; 3]; BODIES] = core::array::from_fn(|_| core::array::from_fn(|_| unit() * 10.0));
    let mut speed: [[f64; 3]; BODIES] = core::array::from_fn(|_| core::array::from_fn(|_| unit()));
    for _ in 0..20_000 {
        for i in 0..BODIES {
            for j in i + 1..BODIES {
                let apart: [f64; 3] = core::array::from_fn(|axis| place[i][axis] - place[j][axis]);
                let square: f64 = apart.iter().map(|side| side * side).sum::<f64>() + 0.01;
                let pull = 0.001 / (square * square);
                for axis in 0..3 {
                    speed[i][axis] -= apart[axis] * pull;
                    speed[j][axis] += apart[axis] * pull;
                }
            }
        }
        for (place, speed) in place.iter_mut().zip(&speed) {
            for (place, speed) in place.iter_mut().zip(speed) {
                *place += 0.001 * speed;
            }
        }
    }
    place.as_flattened().iter().fold(0, |sum: u64, side| sum.wrapping_add((side * 1e6) as i64 as u64))
}

/// The number of primes below a limit, by the sieve of Eratosthenes.
pub(crate) fn sieve() -> u64 {
    const LIMIT: usize = 2_000_000;
    let mut composite = vec![false; LIMIT];
    let mut primes = 0;
    for n in 2..LIMIT {
        if !composite[n] {
            primes += 1;
            for multiple in (n * n..LIMIT).step_by(n) {
                composite[multiple] = true;
            }
        }
    }
    primes
}
