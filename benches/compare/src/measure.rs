//! Measuring in turns.

use std::time::{Duration, Instant};

use crate::Fallible;
use crate::engine::Engine;

/// Does something so many times and says how long that took.
pub(crate) type Timed<'a> = Box<dyn FnMut(u64) -> Fallible<Duration> + 'a>;

/// How long one engine's part of a turn lasts: short, so that it often goes by without another program on the same core,
/// and long beside the cost of looking at the clock.
const PART: Duration = Duration::from_millis(2);

/// The same for what is done by other threads, which are woken each time.
pub(crate) const LONG_PART: Duration = Duration::from_millis(20);

/// Times whatever `once` does.
pub(crate) fn timed<'a>(mut once: impl FnMut() -> Fallible<()> + 'a) -> Timed<'a> {
    Box::new(move |times| {
        let start = Instant::now();
        for _ in 0..times {
            once()?;
        }
        Ok(start.elapsed())
    })
}

/// Nanoseconds of each engine in each turn. Engines go in a circle, and a different one begins each time.
pub(crate) fn in_turns(turns: usize, engines: &mut [(Engine, Timed<'_>)]) -> Fallible<Vec<(Engine, Vec<f64>)>> {
    in_turns_of(PART, turns, engines)
}

/// The same with parts that last so long.
pub(crate) fn in_turns_of(
    part: Duration,
    turns: usize,
    engines: &mut [(Engine, Timed<'_>)],
) -> Fallible<Vec<(Engine, Vec<f64>)>> {
    let mut times = Vec::new();
    for (engine, run) in &mut *engines {
        times.push(times_for(part, run).map_err(|error| format!("{}: {error}", engine.title()))?);
    }
    let mut measured: Vec<(Engine, Vec<f64>)> = engines.iter().map(|(engine, _)| (*engine, Vec::new())).collect();
    for turn in 0..turns {
        for step in 0..engines.len() {
            let at = (turn + step) % engines.len();
            let took = (engines[at].1)(times[at])?;
            measured[at].1.push(took.as_nanos() as f64 / times[at] as f64);
        }
    }
    Ok(measured)
}

/// How many times fill a part. Warms up on the way.
fn times_for(part: Duration, run: &mut Timed<'_>) -> Fallible<u64> {
    let mut times = 1;
    loop {
        let took = run(times)?;
        if took >= part / 2 {
            let share = part.as_secs_f64() / took.as_secs_f64();
            return Ok(((times as f64 * share).round() as u64).max(1));
        }
        times *= 2;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sleep(millis: u64) -> Fallible<()> {
        std::thread::sleep(Duration::from_millis(millis));
        Ok(())
    }

    #[test]
    fn every_engine_has_a_number_for_every_turn() {
        let mut engines = [(Engine::Ours, timed(|| sleep(1))), (Engine::Wasmer, timed(|| sleep(2)))];
        let measured = in_turns(3, &mut engines).unwrap();
        assert!(measured.iter().all(|(_, numbers)| numbers.len() == 3));
        assert!(measured.iter().flat_map(|(_, numbers)| numbers).all(|number| *number >= 1e6));
    }
}
