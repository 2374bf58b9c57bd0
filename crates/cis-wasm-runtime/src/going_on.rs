//! Going on with a run that was suspended, and keeping one that is.
//!
//! A run that goes on may do so on a thread that is not ours, and take long there. Then it goes back to where it went on from,
//! and does that again on a worker: what it had come to is kept until it is suspended again or over, and its journal answers
//! the calls that it made.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use cis_wasm_host::{HostError, HostReply, Journal, Mark};

use crate::checkpoint::{Checkpoint, Resumption, TRIES};
use crate::error::Error;
use crate::guest::{Patience, PutDown, internal};
use crate::instance::{PutDownRun, Ran, is_known};
use crate::learnt::Stopwatch;
use crate::pool::{Pool, Pooled};
use crate::run::{Skill, Start};

impl Skill {
    /// What is to be done with an instance after a run, and with the run when it was suspended.
    pub(crate) fn ended(
        &self,
        pool: &Arc<Pool>,
        mut pooled: Pooled,
        result: Result<Bytes, Error>,
        mut ran: Ran,
    ) -> (Result<Bytes, Error>, Ran) {
        if let Some(put_down) = &mut ran.put_down
            && let Some(left) = put_down.left.take()
        {
            let checkpoints = self.runtime.checkpoints();
            let checkpoint = pooled.live.checkpoint(left, checkpoints.room());
            put_down.ticket = checkpoint.and_then(|checkpoint| checkpoints.keep(checkpoint));
        }
        // Where a run was put down does not matter to an instance that is set back.
        if is_known(&result) || ran.put_down.is_some() {
            pool.put(pooled);
        }
        (result, ran)
    }

    /// Goes on with a run that was suspended, or says that it is to do so later. If it cannot, the event is to be run again, and
    /// the start has the journal for that.
    pub(crate) fn go_on(
        &self,
        pool: &Arc<Pool>,
        event_type: &str,
        mut resumption: Box<Resumption>,
        start: &mut Start,
    ) -> Option<(Result<Bytes, Error>, Ran)> {
        let inline = matches!(start.patience, Patience::Inline { .. });
        let waits = |why, resumption: Box<Resumption>| {
            let fuel = resumption.fuel;
            let put_down = PutDownRun { resumption: Some(resumption), ..PutDownRun::of(why) };
            let ran = Ran { fuel, put_down: Some(Box::new(put_down)), ..self.nothing_ran() };
            Some((Err(internal("a run is to go on later")), ran))
        };
        let mut instance = pool.take_the(resumption.ticket.instance);
        if instance.is_none() && resumption.tries < TRIES {
            resumption.tries += 1;
            return waits(PutDown::Later, resumption);
        }
        if let Some(pooled) = instance.take_if(|pooled| inline && !(pooled.live.is_light() && pooled.live.is_mapped()))
        {
            pool.put_back(pooled);
            return waits(PutDown::Long, resumption);
        }
        let Resumption { ticket, mut context, answer, fuel, .. } = *resumption;
        let again = |journal: Journal, start: &mut Start| {
            self.repeated_fuel.fetch_add(fuel, Ordering::Relaxed);
            start.journal = journal.again();
            None
        };
        let Some(mut pooled) = instance else { return again(context.journal, start) };
        let Some(checkpoint) = ticket.redeem() else {
            pool.put(pooled);
            return again(context.journal, start);
        };
        let journal = std::mem::take(&mut context.journal);
        if !pooled.live.put_back(&checkpoint) {
            pool.put(pooled);
            return again(journal, start);
        }
        let mut idle = pooled.live.idle(&self.program);
        idle.context = context;
        let known = self.learnt_going_on.of(event_type);
        let patience = match start.patience {
            // The time that it has there goes on.
            Patience::Inline { since, .. } => Patience::Inline { since, fuel: known.fuel() },
            patience => patience,
        };
        let mut start = Start { suspends: true, patience, ..start.before(journal) };
        let mut running = self.program.running(idle, &self.runtime, &mut start);
        running.context.journal.went_on();
        let way_back = inline.then(|| (running.context.mark(), answer.clone()));
        running.answer = Some(answer);
        let stopwatch = if inline { known.stopwatch() } else { Stopwatch::start() };
        let (result, ran) = pooled.live.rest(&checkpoint, running);
        let used = ran.fuel.saturating_sub(fuel);
        let took_long = ran.put_down.as_ref().is_some_and(|put_down| matches!(put_down.why, PutDown::Long));
        match took_long {
            true => known.unended(used, stopwatch.time()),
            _ if inline => known.ended(used, stopwatch.time()),
            _ => {
                known.worked(used, stopwatch.elapsed());
                if is_known(&result) || ran.put_down.is_some() {
                    pooled.live.map();
                }
            }
        }
        let (result, mut ran) = self.ended(pool, pooled, result, ran);
        if let (true, Some((mark, answer))) = (took_long, way_back) {
            let resumption = self.back(checkpoint, mark, answer, fuel, &mut ran);
            ran.put_down = Some(Box::new(PutDownRun { resumption, ..PutDownRun::of(PutDown::Long) }));
        }
        Some((result, ran))
    }

    /// What it takes to go on once more with a run that took long from there.
    fn back(
        &self,
        checkpoint: Checkpoint,
        mark: Mark,
        answer: Result<HostReply, HostError>,
        fuel: u64,
        ran: &mut Ran,
    ) -> Option<Box<Resumption>> {
        let ticket = self.runtime.checkpoints().keep(checkpoint)?;
        let mut context = self.program.context();
        (context.journal, context.log) = (std::mem::take(&mut ran.journal), std::mem::take(&mut ran.log));
        context.back_to(mark);
        Some(Box::new(Resumption::new(ticket, context, answer, fuel)))
    }
}
