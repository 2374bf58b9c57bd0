//! The signal, its handler, and the instruction that traps.
//!
//! The signal is `SIGURG`: ignored unless somebody asks for it, and next to never used otherwise, for which reason the
//! runtime of Go interrupts its threads with it too. A signal that is not for one of our runs goes on to the handler that was
//! there before.
//!
//! Invariant: the handler does only what may be done in one: it reads thread-local memory that is initialised without code,
//! and the clock; it takes no lock, allocates nothing, and leaves `errno` alone.

use std::io;
use std::mem::MaybeUninit;
use std::ptr;
use std::sync::OnceLock;

use libc::{c_int, c_void, siginfo_t, ucontext_t};

use super::{entries, watch};

const SIGNAL: c_int = libc::SIGURG;

/// A thread, for signals.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct ThreadId(libc::pthread_t);

/// The calling thread.
pub(super) fn this_thread() -> ThreadId {
    // SAFETY: cannot fail.
    ThreadId(unsafe { libc::pthread_self() })
}

/// Has a thread look at its runs. It must not have ended.
pub(super) fn send(thread: ThreadId) {
    // SAFETY: the caller's promise. What can fail is the signal's number, which is right.
    unsafe { libc::pthread_kill(thread.0, SIGNAL) };
}

/// Lets the signal through to the calling thread, which may have been started with all signals blocked.
pub(super) fn unblock() {
    let mut set = MaybeUninit::uninit();
    // SAFETY: the set is initialised by the first call, and then only read; no pointer is kept.
    unsafe {
        libc::sigemptyset(set.as_mut_ptr());
        libc::sigaddset(set.as_mut_ptr(), SIGNAL);
        libc::pthread_sigmask(libc::SIG_UNBLOCK, set.as_ptr(), ptr::null_mut());
    }
}

/// Nanoseconds on the monotonic clock. May be called in a handler.
pub(super) fn monotonic() -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: writes one `timespec`. Every Linux has this clock, so it cannot fail; and it is safe in a handler (POSIX lists it).
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &mut time) };
    (time.tv_sec as u64).wrapping_mul(1_000_000_000).wrapping_add(time.tv_nsec as u64)
}

/// What was done about the signal before.
static BEFORE: OnceLock<Before> = OnceLock::new();

struct Before(libc::sigaction);

/// Sets the handler, once.
///
/// # Errors
///
/// When the system refuses.
pub(super) fn handle() -> io::Result<()> {
    if BEFORE.get().is_some() {
        return Ok(());
    }
    // SAFETY: an all-zero `sigaction` is a valid one; both pointers are to locals of the right type; the handler has the
    // signature that SA_SIGINFO asks for.
    unsafe {
        let mut before = MaybeUninit::<libc::sigaction>::zeroed();
        if libc::sigaction(SIGNAL, ptr::null(), before.as_mut_ptr()) != 0 {
            return Err(io::Error::last_os_error());
        }
        // Before the handler is set, which reads it.
        let _ = BEFORE.set(Before(before.assume_init()));
        let mut action = MaybeUninit::<libc::sigaction>::zeroed().assume_init();
        action.sa_sigaction = on_signal as *const () as usize;
        // On the signal stack, which the engine sees to: the guest's own may be used up.
        action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK | libc::SA_RESTART;
        libc::sigemptyset(&mut action.sa_mask);
        if libc::sigaction(SIGNAL, &action, ptr::null_mut()) != 0 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(())
}

/// Ends the run on this thread where guest code was interrupted, by a trap, if it has had a thread that is not ours for long
/// enough. For the engine's handler of faults.
///
/// # Safety
///
/// The context is what the kernel passed to the handler.
pub(crate) unsafe fn gives_up(context: *mut c_void) {
    // SAFETY: the caller's promise.
    let Some((entry, interrupted)) = (unsafe { lent(context) }) else { return };
    if watch::now() >= entry.until {
        entry.given_up.set(true);
        // SAFETY: as in `on_signal`.
        unsafe { go_on_at(interrupted, cis_wasm_runtime_trap as *const () as usize) };
    }
}

/// The same for one that cannot pay: nobody gets to see where it was put down, and walking its stack can take long.
/// Whether it is.
///
/// # Safety
///
/// The same.
pub(crate) unsafe fn runs_out(context: *mut c_void) -> bool {
    // SAFETY: the caller's promise.
    let Some((entry, interrupted)) = (unsafe { lent(context) }) else { return false };
    // SAFETY: the entry is on its list, so that the counter is readable.
    let out = unsafe { entry.counter.as_ptr().read_volatile() } < 0;
    if out {
        // SAFETY: as in `on_signal`.
        unsafe { go_on_at(interrupted, cis_wasm_runtime_trap as *const () as usize) };
    }
    out
}

/// The run on this thread that was interrupted in guest code, if the thread is not ours, and the registers.
///
/// # Safety
///
/// The same, and the registers are not kept beyond the handler.
unsafe fn lent<'c>(context: *mut c_void) -> Option<(&'static super::Entry, &'c mut ucontext_t)> {
    let entry = entries().next().filter(|entry| entry.until != u64::MAX)?;
    // SAFETY: the caller's promise: it is this thread's alone until the handler returns.
    let interrupted = unsafe { &mut *context.cast::<ucontext_t>() };
    entry.code.contains(&counter_of(interrupted)).then_some((entry, interrupted))
}

unsafe extern "C" fn on_signal(signal: c_int, info: *mut siginfo_t, context: *mut c_void) {
    let mut ours = false;
    // SAFETY: the kernel passes the interrupted thread's context, which is this thread's alone until the handler returns.
    let interrupted = unsafe { &mut *context.cast::<ucontext_t>() };
    let now = watch::now();
    for (depth, entry) in entries().enumerate() {
        ours = true;
        if !entry.overdue(now) {
            continue;
        }
        if depth == 0 && entry.code.contains(&counter_of(interrupted)) {
            entry.stopped.set(true);
            // SAFETY: guest code has nothing to clean up, and the engine is prepared for a trap at any of its instructions.
            unsafe { go_on_at(interrupted, cis_wasm_runtime_trap as *const () as usize) };
            return;
        }
        entry.empty();
    }
    if ours {
        super::look_again();
    } else if let Some(Before(before)) = BEFORE.get() {
        let handler = before.sa_sigaction;
        if handler != libc::SIG_DFL && handler != libc::SIG_IGN {
            // SAFETY: it was set as the handler for this signal, with the signature that its flags say.
            unsafe {
                if before.sa_flags & libc::SA_SIGINFO != 0 {
                    let handler: extern "C" fn(c_int, *mut siginfo_t, *mut c_void) = std::mem::transmute(handler);
                    handler(signal, info, context);
                } else {
                    let handler: extern "C" fn(c_int) = std::mem::transmute(handler);
                    handler(signal);
                }
            }
        }
    }
}

// The trap is one of the engine's own encoding (wasmer-vm 7.4.2, `process_illegal_op`): that of an exhausted stack, for which
// it does not walk the stack. There is no telling what the walk would meet in the middle of a function's first instructions.
#[cfg(target_arch = "x86_64")]
std::arch::global_asm!(
    ".pushsection .text",
    ".globl cis_wasm_runtime_trap",
    ".hidden cis_wasm_runtime_trap",
    "cis_wasm_runtime_trap:",
    ".byte 0x40, 0x0f, 0xb9, 0xc0",
    ".popsection",
);
#[cfg(target_arch = "aarch64")]
std::arch::global_asm!(
    ".pushsection .text",
    ".globl cis_wasm_runtime_trap",
    ".hidden cis_wasm_runtime_trap",
    ".p2align 2",
    "cis_wasm_runtime_trap:",
    ".word 0x000000c0",
    ".popsection",
);

unsafe extern "C" {
    /// Not a function: an instruction that traps.
    fn cis_wasm_runtime_trap();
}

#[cfg(target_arch = "x86_64")]
fn counter_of(context: &ucontext_t) -> usize {
    context.uc_mcontext.gregs[libc::REG_RIP as usize] as usize
}

/// # Safety
///
/// The thread must be able to go on there with its registers as they are.
#[cfg(target_arch = "x86_64")]
unsafe fn go_on_at(context: &mut ucontext_t, address: usize) {
    context.uc_mcontext.gregs[libc::REG_RIP as usize] = address as i64;
}

#[cfg(target_arch = "aarch64")]
fn counter_of(context: &ucontext_t) -> usize {
    context.uc_mcontext.pc as usize
}

/// # Safety
///
/// The thread must be able to go on there with its registers as they are.
#[cfg(target_arch = "aarch64")]
unsafe fn go_on_at(context: &mut ucontext_t, address: usize) {
    context.uc_mcontext.pc = address as u64;
}
