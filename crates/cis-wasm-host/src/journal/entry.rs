//! One call of a journal.

use cis_wasm_abi::Status;

use crate::{HostCall, HostReply, Ledger, Resource};

/// One call, what it was answered, and what it cost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JournalEntry {
    /// What the guest asked.
    pub call: HostCall,
    /// How that ended.
    pub answer: Answer,
    /// What was taken from the ledger for it, beside the call itself and the bytes of its arguments and reply.
    pub charge: Charge,
}

/// How a call ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The guest was answered.
    Replied(HostReply),
    /// The guest was answered with an error.
    Refused {
        /// What it saw.
        status: Status,
        /// What the operator was told. Holds no secret.
        message: String,
    },
    /// The event ended, because a budget had too little left.
    Exhausted {
        /// What ran out.
        resource: Resource,
        /// How much the call would have taken.
        wanted: u64,
    },
    /// The event was stopped while the call waited.
    Unanswered,
}

/// What a call took of the two resources of its kind: for `host_ai_chat`, calls and tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Charge {
    /// Writes, AI calls, HTTP requests or log lines.
    pub count: u64,
    /// Bytes or tokens.
    pub amount: u64,
}

impl Charge {
    /// What this kind of call has taken in the whole event so far.
    pub(crate) fn total(call: &HostCall, ledger: &Ledger) -> Self {
        let Some([count, amount]) = resources(call) else { return Charge::default() };
        Charge { count: ledger.used().of(count), amount: ledger.used().of(amount) }
    }

    /// What was taken since another total.
    pub(crate) fn since(self, before: Charge) -> Self {
        Charge { count: self.count.saturating_sub(before.count), amount: self.amount.saturating_sub(before.amount) }
    }

    /// Charges it to an event that was given the answer again.
    pub(crate) fn to(self, ledger: &mut Ledger, call: &HostCall) {
        let Some([count, amount]) = resources(call) else { return };
        ledger.charge(count, self.count);
        ledger.charge(amount, self.amount);
    }
}

/// What a kind of call takes beside what every call does.
pub(crate) fn resources(call: &HostCall) -> Option<[Resource; 2]> {
    match call {
        HostCall::AiChat { .. } => Some([Resource::AiCalls, Resource::AiTokens]),
        HostCall::HttpPost { .. } => Some([Resource::HttpRequests, Resource::HttpBytes]),
        HostCall::Log { .. } => Some([Resource::LogLines, Resource::LogBytes]),
        HostCall::MemoryDelete { .. } | HostCall::MemorySet { .. } => {
            Some([Resource::MemoryWrites, Resource::MemoryWriteBytes])
        }
        HostCall::ConfigGet { .. }
        | HostCall::MemoryGet { .. }
        | HostCall::MemoryList { .. }
        | HostCall::SetError { .. } => None,
    }
}
