//! Events run on every compiler, and what of them can be compared.

use std::sync::LazyLock;
use std::time::Duration;

use bytes::Bytes;
use cis_wasm_host::{Fault, Ledger, LogLine, Resource};
use cis_wasm_runtime::{Compiler, Error, ErrorKind, LoadSpec, Outcome, TrapKind, WasmInstance, WasmRuntime};

/// One runtime for each compiler of this build.
static RUNTIMES: LazyLock<Vec<WasmRuntime>> = LazyLock::new(|| runtimes(true));

/// The same, where an event that waits a second time is suspended, however little it has done.
static SUSPENDING: LazyLock<Vec<WasmRuntime>> = LazyLock::new(|| {
    let runtime = |compiler| WasmRuntime::builder().compiler(compiler).workers(1).repeated_fuel(0).build();
    Compiler::ALL.iter().map(|compiler| runtime(*compiler).expect("every compiler of this build is there")).collect()
});

/// The same, where nothing stops code from outside: it asks for its fuel.
static ASKING: LazyLock<Vec<WasmRuntime>> = LazyLock::new(|| {
    let runtime = |compiler| WasmRuntime::builder().compiler(compiler).workers(1).signals(false).build();
    Compiler::ALL.iter().map(|compiler| runtime(*compiler).expect("every compiler of this build is there")).collect()
});

/// The same, where no instance sees a second event.
static ALONE: LazyLock<Vec<WasmRuntime>> = LazyLock::new(|| runtimes(false));

fn runtimes(reuse: bool) -> Vec<WasmRuntime> {
    let runtime = |compiler| WasmRuntime::builder().compiler(compiler).workers(1).reuse(reuse).build();
    Compiler::ALL.iter().map(|compiler| runtime(*compiler).expect("every compiler of this build is there")).collect()
}

/// How many compilers there are.
pub(crate) fn compilers() -> usize {
    RUNTIMES.len()
}

/// Loads a module on one of the compilers.
pub(crate) fn load(compiler: usize, wasm: &[u8], spec: LoadSpec) -> Result<WasmInstance, Error> {
    RUNTIMES[compiler].load(wasm, spec)
}

/// Loads a module on one of the compilers, so that a fresh skill's events have instances of their own.
pub(crate) fn load_alone(compiler: usize, wasm: &[u8], spec: LoadSpec) -> Result<WasmInstance, Error> {
    ALONE[compiler].load(wasm, spec)
}

/// Loads a module on one of the compilers, so that its events are suspended where they wait.
pub(crate) fn load_suspending(compiler: usize, wasm: &[u8], spec: LoadSpec) -> Result<WasmInstance, Error> {
    SUSPENDING[compiler].load(wasm, spec)
}

/// Loads a module on one of the compilers, so that its code asks for its fuel.
pub(crate) fn load_asking(compiler: usize, wasm: &[u8], spec: LoadSpec) -> Result<WasmInstance, Error> {
    ASKING[compiler].load(wasm, spec)
}

/// The compiler's name.
pub(crate) fn name(compiler: usize) -> &'static str {
    RUNTIMES[compiler].compiler().name()
}

/// Fuel and memory that end any module soon, and a deadline that is for what the fuel does not end.
pub(crate) fn limits(fuel: u64) -> cis_wasm_runtime::Limits {
    cis_wasm_runtime::Limits {
        memory_bytes: 64 * 65_536,
        table_elements: 10_000,
        fuel,
        deadline: Duration::from_secs(60),
    }
}

/// What is the same in every run of the same module with the same event.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Seen {
    pub ended: Ended,
    pub fuel: u64,
    pub memory_bytes: u64,
    pub ledger: Ledger,
    pub log: Vec<LogLine>,
}

/// How an event ended.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Ended {
    Answered(Bytes),
    Failed(ErrorKind),
}

impl Seen {
    /// Takes what came of an event, which has to keep the rules.
    #[track_caller]
    pub(crate) fn of(outcome: Outcome) -> Self {
        let Outcome { result, log, receipt, .. } = outcome;
        let ended = match result {
            Ok(response) => Ended::Answered(response),
            Err(error) => {
                lawful(&error);
                Ended::Failed(error.kind().clone())
            }
        };
        let seen = Seen { ended, fuel: receipt.fuel, memory_bytes: receipt.memory_bytes, ledger: receipt.ledger, log };
        let limits = receipt.limits;
        // Above the limit by what was paid last: at most a `memory.grow` of all pages that a number can say.
        let most = if seen.is_out_of_fuel() { limits.fuel.saturating_add(1 << 41) } else { limits.fuel };
        assert!(seen.fuel <= most, "{} units were used: {seen:?}", seen.fuel);
        assert!(!seen.is_out_of_fuel() || seen.fuel > limits.fuel, "fuel ran out and is not used up: {seen:?}");
        assert!(seen.memory_bytes <= limits.memory_bytes, "more memory than allowed: {seen:?}");
        // An AI counts tokens in a way that the host can only estimate.
        for resource in Resource::ALL.into_iter().filter(|resource| *resource != Resource::AiTokens) {
            let (used, limit) = (seen.ledger.used().of(resource), seen.ledger.limit().of(resource));
            assert!(used <= limit, "more {} than allowed: {seen:?}", resource.name());
        }
        let logged: usize = seen.log.iter().map(|line| line.message.len()).sum();
        assert!(logged as u64 <= seen.ledger.used().of(Resource::LogBytes), "more was logged than was taken: {seen:?}");
        assert!(seen.log.len() as u64 <= seen.ledger.used().of(Resource::LogLines), "as above: {seen:?}");
        seen
    }

    pub(crate) fn is_out_of_fuel(&self) -> bool {
        matches!(self.ended, Ended::Failed(ErrorKind::OutOfFuel { .. }))
    }

    pub(crate) fn is_stack_overflow(&self) -> bool {
        matches!(self.ended, Ended::Failed(ErrorKind::Trapped { trap: TrapKind::StackOverflow, .. }))
    }

    pub(crate) fn is_trap(&self) -> bool {
        matches!(self.ended, Ended::Failed(ErrorKind::Trapped { .. }))
    }

    /// How it ended, as a code.
    pub(crate) fn code(&self) -> &'static str {
        match &self.ended {
            Ended::Answered(_) => "answered",
            Ended::Failed(kind) => Error::from(kind.clone()).code(),
        }
    }
}

/// Whatever a guest does is its own fault, and the backends here never keep it waiting.
#[track_caller]
pub(crate) fn lawful(error: &Error) {
    let late = matches!(error.kind(), ErrorKind::DeadlineExceeded { .. });
    assert!(error.fault() != Fault::Bug && !late, "{}: {error}", error.code());
}

/// Whether an error is a trap for lack of stack, which compilers come to at different depths.
pub(crate) fn is_stack_overflow(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::Trapped { trap: TrapKind::StackOverflow, .. })
}
