//! What an event may make the host do, and what it has.
//!
//! Invariant: for every resource, `used <= limit`, and whatever the host does for a guest was taken here first. The one
//! exception is named at [`Ledger::settle`].

use crate::HostError;
use crate::unwired::{Limit, unwired};

/// Something the host does for a guest, counted per event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(usize)]
pub enum Resource {
    /// Host calls, of any kind.
    HostCalls,
    /// Bytes from the guest: arguments of host calls.
    BytesIn,
    /// Bytes to the guest: replies of host calls.
    BytesOut,
    /// Keys written to or deleted from memory.
    MemoryWrites,
    /// Bytes of keys and values written to memory.
    MemoryWriteBytes,
    /// Calls to the AI.
    AiCalls,
    /// Tokens, of prompts and replies.
    AiTokens,
    /// HTTP requests, each hop of a redirect among them.
    HttpRequests,
    /// Bytes of HTTP request and response bodies.
    HttpBytes,
    /// Lines logged.
    LogLines,
    /// Bytes logged.
    LogBytes,
}

impl Resource {
    /// All of them, in the order of their numbers.
    pub const ALL: [Resource; 11] = [
        Resource::HostCalls,
        Resource::BytesIn,
        Resource::BytesOut,
        Resource::MemoryWrites,
        Resource::MemoryWriteBytes,
        Resource::AiCalls,
        Resource::AiTokens,
        Resource::HttpRequests,
        Resource::HttpBytes,
        Resource::LogLines,
        Resource::LogBytes,
    ];

    /// The name in manifests, receipts and errors.
    pub const fn name(self) -> &'static str {
        match self {
            Resource::HostCalls => "host_calls",
            Resource::BytesIn => "bytes_in",
            Resource::BytesOut => "bytes_out",
            Resource::MemoryWrites => "memory_writes",
            Resource::MemoryWriteBytes => "memory_write_bytes",
            Resource::AiCalls => "ai_calls",
            Resource::AiTokens => "ai_tokens",
            Resource::HttpRequests => "http_requests",
            Resource::HttpBytes => "http_bytes",
            Resource::LogLines => "log_lines",
            Resource::LogBytes => "log_bytes",
        }
    }

    /// The resource of a name.
    pub fn from_name(name: &str) -> Option<Self> {
        Resource::ALL.into_iter().find(|resource| resource.name() == name)
    }
}

/// One number per [`Resource`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Amounts([u64; Resource::ALL.len()]);

impl Amounts {
    /// What an event may use where nobody said otherwise: room for a busy skill, a small bill for a hostile one.
    pub const DEFAULT_LIMITS: Amounts = Amounts([
        10_000,    // host calls
        64 << 20,  // bytes in
        64 << 20,  // bytes out
        1_000,     // memory writes
        16 << 20,  // memory write bytes
        32,        // AI calls
        32_768,    // AI tokens
        32,        // HTTP requests
        32 << 20,  // HTTP bytes
        1_000,     // log lines
        256 << 10, // log bytes
    ]);

    /// The number for a resource.
    pub const fn of(&self, resource: Resource) -> u64 {
        self.0[resource as usize]
    }

    /// Sets the number for a resource.
    #[must_use]
    pub const fn with(mut self, resource: Resource, amount: u64) -> Self {
        self.0[resource as usize] = amount;
        self
    }

    /// The smaller of both, resource by resource.
    #[must_use]
    pub fn min(self, other: Amounts) -> Amounts {
        Amounts(std::array::from_fn(|index| self.0[index].min(other.0[index])))
    }

    /// Every resource with its number.
    pub fn iter(&self) -> impl Iterator<Item = (Resource, u64)> + '_ {
        Resource::ALL.into_iter().zip(self.0)
    }
}

/// The budget of one event and what is gone of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ledger {
    limit: Amounts,
    used: Amounts,
}

impl Ledger {
    /// A ledger of which nothing is used.
    pub const fn new(limit: Amounts) -> Self {
        Ledger { limit, used: Amounts([0; Resource::ALL.len()]) }
    }

    /// How much the event may use.
    pub const fn limit(&self) -> &Amounts {
        &self.limit
    }

    /// How much it has used.
    #[inline]
    pub const fn used(&self) -> &Amounts {
        &self.used
    }

    /// How much of a resource is left.
    #[inline]
    pub const fn left(&self, resource: Resource) -> u64 {
        self.limit.of(resource).saturating_sub(self.used.of(resource))
    }

    /// Takes an amount before the work is done. `call` is named in the error.
    ///
    /// # Errors
    ///
    /// When less is left than `amount`; nothing is taken then.
    #[inline]
    pub fn take(&mut self, call: &'static str, resource: Resource, amount: u64) -> Result<(), HostError> {
        if amount > self.left(resource) && !unwired(Limit::Budget(resource)) {
            return Err(self.exhausted(call, resource, amount));
        }
        self.used.0[resource as usize] += amount;
        Ok(())
    }

    /// Takes what an earlier run of the same event took. It fitted then; where it was [settled](Self::settle) above the
    /// limit, it is again.
    pub(crate) fn charge(&mut self, resource: Resource, amount: u64) {
        let used = &mut self.used.0[resource as usize];
        *used = used.saturating_add(amount);
    }

    /// The error of taking more than is left.
    #[cold]
    pub(crate) fn exhausted(&self, call: &'static str, resource: Resource, wanted: u64) -> HostError {
        let (limit, left) = (self.limit.of(resource), self.left(resource));
        HostError::BudgetExhausted { call, resource, limit, left, wanted }
    }

    /// Replaces an amount taken beforehand by what the work really took, when that is known only afterwards.
    ///
    /// The real amount can lie above what was taken, and then `used` above `limit`: an AI counts a prompt's tokens in a
    /// way the host can only estimate. The next [`take`](Ledger::take) then finds nothing left.
    pub fn settle(&mut self, resource: Resource, taken: u64, real: u64) {
        let used = &mut self.used.0[resource as usize];
        *used = used.saturating_sub(taken).saturating_add(real);
    }
}
