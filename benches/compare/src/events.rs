//! What one event costs, workload by workload, on the calling thread.

use cis_wasm_runtime::WasmRuntime;

use crate::Fallible;
use crate::engine::{Engine, Guests, Loaded, Ours, State, Wasmtime, WasmtimeOptions};
use crate::measure::{Timed, in_turns, timed};
use crate::result::{Row, Spread, Unit};
use crate::workload::Workload;

/// One workload on these engines.
pub(crate) fn row(guests: &Guests, among: &[Engine], workload: &Workload, state: State, turns: usize) -> Fallible<Row> {
    let mut engines = Vec::new();
    for &engine in among {
        let mut loaded = engine.load(guests, state).map_err(|error| format!("{}: {error}", engine.title()))?;
        checked(&mut *loaded, workload, state).map_err(|error| format!("{}: {error}", engine.title()))?;
        engines.push((engine, run(loaded, workload)));
    }
    let measured = in_turns(turns, &mut engines)?;
    Ok(Row::of(workload.name, state.name(), Unit::Nanoseconds, &measured))
}

/// What the host adds to `agent-step`: the total less what the step costs inside of a guest that nothing limits.
pub(crate) fn overhead(guests: &Guests, turns: usize) -> Fallible<[Row; 2]> {
    let step = Workload::named("agent-step").ok_or("there is an agent-step")?;
    let alone = step.clone().called("agent_step_alone");
    let skill = std::fs::read(&guests.skill)?;
    let free: [(Engine, Box<dyn Loaded>); 2] = [
        (Engine::Ours, Box::new(Ours::with(WasmRuntime::builder().unmetered())?.load(&skill, State::Kept)?)),
        (
            Engine::Wasmtime,
            Box::new(
                Wasmtime::new(WasmtimeOptions { deadline: None, ..Default::default() })?.load(&skill, State::Kept)?,
            ),
        ),
    ];
    let mut engines = Vec::new();
    for engine in [Engine::Ours, Engine::Wasmtime] {
        engines.push((engine, run(engine.load(guests, State::Fresh)?, &step)));
    }
    for (engine, loaded) in free {
        engines.push((engine, run(loaded, &alone)));
    }
    let mut measured = in_turns(turns, &mut engines)?;
    let totals = measured.drain(..2).collect::<Vec<_>>();
    // The guest does the step a hundred times.
    for (_, numbers) in &mut measured {
        numbers.iter_mut().for_each(|number| *number /= 100.0);
    }
    let overheads: Vec<_> = totals
        .iter()
        .zip(&measured)
        .map(|((engine, totals), (_, alone))| {
            // The least: what else the machine does can only add to it, and would be taken off the host's part.
            let alone = Spread::of(alone).min;
            (*engine, totals.iter().map(|total| (total - alone).max(0.0)).collect())
        })
        .collect();
    Ok([
        Row::of("agent-step, guest's own work", "kept, no limits", Unit::Nanoseconds, &measured),
        Row::of("agent-step, overhead", "fresh", Unit::Nanoseconds, &overheads)
            .with_note("the total of a fresh event less the least of the guest's own work on that engine"),
    ])
}

fn run<'a>(mut loaded: Box<dyn Loaded>, workload: &'a Workload) -> Timed<'a> {
    timed(move || {
        loaded.event(workload.kind, &workload.data, &mut |answer| {
            std::hint::black_box(answer.len());
        })
    })
}

/// Three events, whose answers must be right: a fresh state that is not clean is not one.
fn checked(loaded: &mut dyn Loaded, workload: &Workload, state: State) -> Fallible<()> {
    for earlier in 0..3 {
        let mut right = Ok(());
        loaded.event(workload.kind, &workload.data, &mut |answer| right = workload.check(answer, state, earlier))?;
        right?;
    }
    Ok(())
}
