//! Events that wait take no threads. In a process of its own, because threads are counted.
#![cfg(target_os = "linux")]

mod common;

use std::sync::atomic::Ordering;

use bytes::Bytes;
use cis_wasm_runtime::Compiler;
use common::waiting::{LateAi, all, asking, load};

fn threads() -> usize {
    std::fs::read_dir("/proc/self/task").unwrap().count()
}

#[test]
fn waiting_events_take_no_threads() {
    for compiler in Compiler::ALL {
        // One that is put down on the sender's thread, and one that is put down by a worker.
        for work in [1, 200_000] {
            let ai = LateAi::default();
            let skill = load(&asking(work, &ai), *compiler);
            let before = threads();
            let events: Vec<_> = (0..300).map(|_| skill.handle("go", Bytes::from("abc"))).collect();
            let outcomes = all(events, |_| {
                if ai.0.asked.load(Ordering::SeqCst) == 300 {
                    assert!(threads() <= before + 2 + 2, "{} threads", threads());
                    ai.answer_all();
                }
            });
            for outcome in outcomes {
                assert_eq!(outcome.result.unwrap(), "to a");
            }
            assert_eq!(ai.0.asked.load(Ordering::SeqCst), 900, "each call is asked once");
            assert_eq!(ai.0.given_up.load(Ordering::SeqCst), 0);
        }
    }
}
