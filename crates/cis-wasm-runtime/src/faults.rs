//! That faults of guest code reach the engine's handler.
//!
//! The engine traps by signals, and memory that is set back learns by one of the first write to a page. An embedder may run
//! events on a thread that it started with all signals blocked. A fault that is blocked ends the process.
//!
//! Invariant: only the calling thread's own signal mask is changed, and in it only what no program can do without.

/// Lets faults through to the calling thread.
#[cfg(unix)]
pub(crate) fn let_through() {
    use std::cell::Cell;
    use std::mem::MaybeUninit;

    thread_local! {
        static DONE: Cell<bool> = const { Cell::new(false) };
    }
    if DONE.replace(true) {
        return;
    }
    let mut set = MaybeUninit::uninit();
    // SAFETY: the set is initialised by the first call, and then only read; no pointer is kept.
    unsafe {
        libc::sigemptyset(set.as_mut_ptr());
        for signal in [libc::SIGSEGV, libc::SIGBUS, libc::SIGILL, libc::SIGFPE] {
            libc::sigaddset(set.as_mut_ptr(), signal);
        }
        libc::pthread_sigmask(libc::SIG_UNBLOCK, set.as_ptr(), std::ptr::null_mut());
    }
}

/// Elsewhere faults are no signals.
#[cfg(not(unix))]
pub(crate) fn let_through() {}
