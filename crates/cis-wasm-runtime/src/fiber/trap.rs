//! Traps on a fiber. What is done about them is what the engine does about those on its own stacks (wasmer-vm 7.4.2,
//! `traphandlers.rs`), so that they become the same errors.
//!
//! Invariant: what runs in the handler ([`Fiber::trapped`]) does what the engine's does there, and nothing beyond: it walks the
//! stack where that is safe, and sends the thread on with other registers.

use std::ptr;

use backtrace::Backtrace;
use corosensei::trap::TrapHandlerRegs;
use libc::{c_int, c_void, siginfo_t, ucontext_t};
use wasmer::sys::vm::{Trap, TrapCode};

use super::Fiber;

/// How a run on a fiber ended.
pub(super) enum Ended {
    Returned,
    Trapped(Trapped),
}

/// What is known of a trap.
pub(super) struct Trapped {
    counter: usize,
    backtrace: Backtrace,
    code: Option<TrapCode>,
}

impl Trapped {
    pub(super) fn into_trap(self) -> Trap {
        Trap::wasm(self.counter, self.backtrace, self.code)
    }
}

impl Fiber {
    /// A signal that says that something trapped: whether it was a run on this fiber. Then the thread goes on where that run is
    /// ended. Runs in the signal handler.
    ///
    /// # Safety
    ///
    /// The arguments are the system's own, of a signal that this thread got.
    pub(crate) unsafe fn trapped(&self, signal: c_int, info: *const siginfo_t, context: *mut c_void) -> bool {
        // SAFETY: this thread is the one that writes it, and is not at it: it runs a guest.
        let Some(handler) = (unsafe { &*self.trap_handler.as_ptr() }) else { return false };
        // SAFETY: the kernel passes the interrupted thread's context, which is this thread's alone until the handler returns.
        let interrupted = unsafe { &mut *context.cast::<ucontext_t>() };
        let (counter, top) = counter_and_top(interrupted);
        if !handler.stack_ptr_in_bounds(top) {
            return false;
        }
        // SAFETY: for these signals there is an address.
        let address = unsafe { (*info).si_addr() } as usize;
        let code = match signal {
            // SAFETY: the address is that of an instruction.
            libc::SIGILL => unsafe { code_at(address) },
            libc::SIGSEGV | libc::SIGBUS if handler.stack_ptr_in_bounds(address) => Some(TrapCode::StackOverflow),
            libc::SIGSEGV | libc::SIGBUS => Some(TrapCode::HeapAccessOutOfBounds),
            _ => None,
        };
        // Where a function has just begun, the stack cannot be walked.
        let backtrace = match code {
            Some(TrapCode::StackOverflow) => Backtrace::from(Vec::new()),
            _ => Backtrace::new_unresolved(),
        };
        let trapped = Trapped { counter, backtrace, code };
        // SAFETY: the stack pointer is on this fiber, and the thread goes on with these registers. What is on the stack has no
        // destructors.
        unsafe { go_on_with(interrupted, handler.setup_trap_handler(move || Ended::Trapped(trapped))) };
        true
    }
}

/// What the engine's compilers say by an instruction that traps.
///
/// # Safety
///
/// There is an instruction at the address.
unsafe fn code_at(address: usize) -> Option<TrapCode> {
    let at = ptr::with_exposed_provenance::<u8>(address);
    #[cfg(target_arch = "x86_64")]
    // SAFETY: the first byte is there, and each further one is when the one before says so.
    let payload = unsafe {
        match (at.read(), at.add(1).read()) {
            (0x40..=0x4f, 0x0f) if at.add(2).read() == 0xb9 => Some(at.add(3).read()),
            (0x0f, 0xb9) => Some(at.add(2).read()),
            _ => None,
        }
    };
    #[cfg(target_arch = "aarch64")]
    // SAFETY: an instruction has four bytes.
    let payload = unsafe { (at.cast::<u32>().read_unaligned() & 0xffff_0000 == 0).then(|| at.read()) };
    CODES
        .get(usize::from(payload? & !MAGIC))
        .copied()
        .filter(|_| payload.is_some_and(|payload| payload & MAGIC == MAGIC))
}

/// What the payload of a trapping instruction has in its upper half.
const MAGIC: u8 = 0xc0;

/// What its lower half says.
const CODES: [TrapCode; 11] = [
    TrapCode::StackOverflow,
    TrapCode::HeapAccessOutOfBounds,
    TrapCode::HeapMisaligned,
    TrapCode::TableAccessOutOfBounds,
    TrapCode::IndirectCallToNull,
    TrapCode::BadSignature,
    TrapCode::IntegerOverflow,
    TrapCode::IntegerDivisionByZero,
    TrapCode::BadConversionToInteger,
    TrapCode::UnreachableCodeReached,
    TrapCode::UnalignedAtomic,
];

#[cfg(target_arch = "x86_64")]
fn counter_and_top(context: &ucontext_t) -> (usize, usize) {
    let registers = &context.uc_mcontext.gregs;
    (registers[libc::REG_RIP as usize] as usize, registers[libc::REG_RSP as usize] as usize)
}

/// # Safety
///
/// The thread must be able to go on with these registers.
#[cfg(target_arch = "x86_64")]
unsafe fn go_on_with(context: &mut ucontext_t, to: TrapHandlerRegs) {
    let registers = &mut context.uc_mcontext.gregs;
    let TrapHandlerRegs { rip, rsp, rbp, rdi, rsi } = to;
    let named = [libc::REG_RIP, libc::REG_RSP, libc::REG_RBP, libc::REG_RDI, libc::REG_RSI];
    for (register, value) in named.into_iter().zip([rip, rsp, rbp, rdi, rsi]) {
        registers[register as usize] = value as i64;
    }
}

#[cfg(target_arch = "aarch64")]
fn counter_and_top(context: &ucontext_t) -> (usize, usize) {
    (context.uc_mcontext.pc as usize, context.uc_mcontext.sp as usize)
}

/// # Safety
///
/// The thread must be able to go on with these registers.
#[cfg(target_arch = "aarch64")]
unsafe fn go_on_with(context: &mut ucontext_t, to: TrapHandlerRegs) {
    let TrapHandlerRegs { pc, sp, x0, x1, x29, lr } = to;
    let machine = &mut context.uc_mcontext;
    (machine.pc, machine.sp) = (pc, sp);
    (machine.regs[0], machine.regs[1], machine.regs[29], machine.regs[30]) = (x0, x1, x29, lr);
}
