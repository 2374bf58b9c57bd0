//! Events that end by themselves are nobody's to stop: no thread is signalled for them. In a process of its own, because
//! signals are counted.
//!
//! Invariant: the handler does only what may be done in one, and is set before any runtime's, which hands on what is not
//! for it.
#![cfg(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64")))]

mod common;

use std::mem::MaybeUninit;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use cis_wasm_runtime::{Compiler, WasmInstance};
use common::waiting::all;
use common::{guest, on_event};

/// Signals that were for no run of ours.
static STRAY: AtomicUsize = AtomicUsize::new(0);

extern "C" fn count(_: libc::c_int) {
    STRAY.fetch_add(1, Ordering::Relaxed);
}

fn send(skill: &WasmInstance, events: usize) -> usize {
    let events: Vec<_> = (0..events).map(|_| skill.handle("test", Bytes::new())).collect();
    all(events, |_| {}).into_iter().filter(|outcome| outcome.result.is_ok()).count()
}

#[test]
fn what_ends_by_itself_is_not_signalled() {
    // SAFETY: an all-zero `sigaction` is a valid one; the handler has the signature of one without flags.
    unsafe {
        let mut action = MaybeUninit::<libc::sigaction>::zeroed().assume_init();
        action.sa_sigaction = count as *const () as usize;
        assert_eq!(libc::sigaction(libc::SIGURG, &action, std::ptr::null_mut()), 0);
    }
    // More fuel than a run may use on a thread that is not the runtime's.
    let long = "(local $left i32) (local.set $left (i32.const 1000000))
        (loop (br_if 0 (local.tee $left (i32.sub (local.get $left) (i32.const 1))))) (i32.const 0)";
    for compiler in Compiler::ALL {
        let skill = guest(&on_event(long)).load(*compiler).unwrap();
        assert_eq!(send(&skill, 100), 100);
        // The runtime's workers live on, and the watch has time for whatever it was told.
        thread::sleep(Duration::from_millis(20));
        assert_eq!(STRAY.load(Ordering::Relaxed), 0);
        // The count counts.
        // SAFETY: it only sends a signal to this very thread.
        unsafe { libc::raise(libc::SIGURG) };
        assert_eq!(STRAY.swap(0, Ordering::Relaxed), 1);
    }
}
