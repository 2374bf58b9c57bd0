//! When the calls of a run were made and answered: for a person to look at. Kept on request only.

use std::time::{Duration, Instant};

use cis_wasm_abi::Status;

/// When the calls of a run were made. Times are since the run began.
#[derive(Clone, Debug)]
pub struct Trace {
    began: Instant,
    /// Fuel used so far, as the runtime last said.
    fuel: u64,
    calls: Vec<CallTrace>,
    refused: Vec<RefusedCall>,
    /// How many of those the run has made, which may be doing it again.
    refused_again: usize,
    rests: Vec<Rest>,
}

/// A call that was refused for arguments that could not be read. It is not among the calls.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefusedCall {
    /// How many calls had been answered before it.
    pub before: usize,
    /// The import.
    pub call: &'static str,
    /// What the guest was answered.
    pub status: Status,
    /// What was wrong with it.
    pub message: String,
    /// Fuel that the run had used by then.
    pub fuel: u64,
    /// When it was made.
    pub asked: Duration,
}

/// When one call was made and answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CallTrace {
    /// Fuel that the run had used by then.
    pub fuel: u64,
    /// When it was made.
    pub asked: Duration,
    /// When it was answered, if it was.
    pub answered: Option<Duration>,
}

/// A time in which a run was put down while a call waited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rest {
    /// The number of the call, from 0.
    pub call: usize,
    /// When the run was put down.
    pub parked: Duration,
    /// When it began again from its start.
    pub resumed: Option<Duration>,
    /// When it had come back to the call.
    pub caught_up: Option<Duration>,
}

impl Trace {
    pub(super) fn starting_now() -> Self {
        Trace {
            began: Instant::now(),
            fuel: 0,
            calls: Vec::new(),
            refused: Vec::new(),
            refused_again: 0,
            rests: Vec::new(),
        }
    }

    /// The calls, in order.
    pub fn calls(&self) -> &[CallTrace] {
        &self.calls
    }

    /// The calls that were refused for their arguments, in order.
    pub fn refused(&self) -> &[RefusedCall] {
        &self.refused
    }

    /// The times in which the run was put down, in order.
    pub fn rests(&self) -> &[Rest] {
        &self.rests
    }

    /// The run begins now, unless it has made calls already.
    pub(super) fn begin(&mut self) {
        if self.calls.is_empty() {
            self.began = Instant::now();
        }
    }

    pub(super) fn at_fuel(&mut self, fuel: u64) {
        self.fuel = fuel;
    }

    /// A call is made. One that a run makes again keeps its first time.
    pub(super) fn asked(&mut self, index: usize) {
        if self.calls.len() == index {
            self.calls.push(CallTrace { fuel: self.fuel, asked: self.began.elapsed(), answered: None });
        }
    }

    /// A call is refused. One that a run makes again keeps its first time.
    pub(super) fn refuse(&mut self, before: usize, call: &'static str, status: Status, message: &str) {
        if self.refused_again == self.refused.len() {
            let (message, asked) = (message.to_owned(), self.began.elapsed());
            self.refused.push(RefusedCall { before, call, status, message, fuel: self.fuel, asked });
        }
        self.refused_again += 1;
    }

    pub(super) fn answered(&mut self, index: usize) {
        let now = self.began.elapsed();
        if let Some(call) = self.calls.get_mut(index)
            && call.answered.is_none()
        {
            call.answered = Some(now);
        }
    }

    pub(super) fn parked(&mut self, at: Instant) {
        let call = self.calls.len().saturating_sub(1);
        self.rests.push(Rest {
            call,
            parked: at.saturating_duration_since(self.began),
            resumed: None,
            caught_up: None,
        });
    }

    /// How many calls the run was refused so far.
    pub(super) fn refused_by_now(&self) -> usize {
        self.refused_again
    }

    /// The run goes back to where so many were.
    pub(super) fn back_to(&mut self, refused: usize) {
        self.refused_again = refused;
    }

    pub(super) fn resumed(&mut self) {
        let now = self.began.elapsed();
        if let Some(rest) = self.rests.last_mut() {
            rest.resumed.get_or_insert(now);
        }
    }

    pub(super) fn caught_up(&mut self) {
        let now = self.began.elapsed();
        if let Some(rest) = self.rests.last_mut()
            && rest.resumed.is_some()
        {
            rest.caught_up.get_or_insert(now);
        }
    }
}
