//! Going on with a run that was suspended, and keeping one that is.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use cis_wasm_host::Journal;

use crate::checkpoint::Resumption;
use crate::error::Error;
use crate::guest::Kit;
use crate::instance::{Ran, is_known};
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
        if let Some(left) = ran.left.take() {
            let checkpoints = self.runtime.checkpoints();
            let checkpoint = pooled.live.checkpoint(left, checkpoints.room());
            ran.ticket = checkpoint.and_then(|checkpoint| checkpoints.keep(checkpoint));
        }
        // Where a run was put down does not matter to an instance that is set back.
        if is_known(&result) || ran.put_down.is_some() {
            pool.put(pooled);
        }
        (result, ran)
    }

    /// Goes on with a run that was suspended. If that cannot be, the event is to be run again, and the start has the journal for
    /// that.
    pub(crate) fn go_on(
        &self,
        pool: &Arc<Pool>,
        resumption: Resumption,
        start: &mut Start,
    ) -> Option<(Result<Bytes, Error>, Ran)> {
        let Resumption { ticket, mut context, answer, fuel } = resumption;
        let again = |journal: Journal, start: &mut Start| {
            self.repeated_fuel.fetch_add(fuel, Ordering::Relaxed);
            start.journal = journal.again();
            None
        };
        let kept = ticket.redeem();
        let Some((checkpoint, mut pooled)) = kept.and_then(|kept| pool.take_the(kept.instance).map(|it| (kept, it)))
        else {
            return again(context.journal, start);
        };
        let journal = std::mem::take(&mut context.journal);
        if !pooled.live.put_back(&checkpoint) {
            pool.put(pooled);
            return again(journal, start);
        }
        let Kit { host, .. } = pooled.live.kit(&self.program);
        let start = Start { suspends: true, patience: start.patience, ..start.before(journal) };
        let mut running = self.program.running(Kit { host, context }, &self.runtime, start);
        running.context.journal.went_on();
        running.answer = Some(answer);
        let (result, ran) = pooled.live.rest(checkpoint, running);
        Some(self.ended(pool, pooled, result, ran))
    }
}
