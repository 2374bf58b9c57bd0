//! Backends that have an event of a kept skill wait for one that waits for it.

mod common;

use std::sync::mpsc::channel;
use std::sync::{Arc, Barrier, OnceLock};
use std::thread;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use cis_wasm_host::{AiBackend, AiReply, AiRequest, BackendError, Fault, Host};
use cis_wasm_runtime::{Compiler, Error, Outcome, WasmInstance, WasmRuntime};
use common::waiting::all;
use common::{module, on_event_packed};

/// Has events of two skills handled, as it is asked to.
#[derive(Clone, Default)]
struct Sender(Arc<State>);

#[derive(Default)]
struct State {
    skills: OnceLock<[WasmInstance; 2]>,
    /// Where two events meet before they go on.
    meet: OnceLock<Barrier>,
}

fn said(result: Result<Bytes, Error>) -> String {
    match result {
        Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
        Err(error) => {
            if error.code() == "waits_for_itself" {
                assert_eq!(error.fault(), Fault::Caller);
                assert!(error.to_string().contains("backend"), "{error}");
            }
            error.code().into()
        }
    }
}

#[async_trait]
impl AiBackend for Sender {
    /// Does what the prompt's first letter says, with the rest as an event's data.
    async fn chat(&self, request: AiRequest) -> Result<AiReply, BackendError> {
        let State { skills, meet } = &*self.0;
        let [a, b] = skills.get().expect("set before the first event");
        let (what, rest) = request.prompt.split_at(1);
        let text = match what {
            "a" => said(a.run("ask", rest.as_bytes()).result),
            "b" => said(b.run("ask", rest.as_bytes()).result),
            "m" => {
                meet.get().expect("set before").wait();
                return self.chat(AiRequest { prompt: rest.into(), ..request.clone() }).await;
            }
            "w" => said(a.handle("ask", Bytes::copy_from_slice(rest.as_bytes())).await.result),
            "s" => a.shutdown().map_or_else(|error| said(Err(error)), |()| "shut down".into()),
            _ => "the end".into(),
        };
        Ok(AiReply { text, prompt_tokens: 1, reply_tokens: 1 })
    }
}

impl Sender {
    /// Two kept skills that ask it with their event's data, and answer with its reply.
    fn new(compiler: Compiler, deadline: Duration) -> Self {
        let sender = Sender::default();
        let chat = r#"(import "env" "host_ai_chat" (func $chat (param i32 i32) (result i64)))"#;
        let ask = on_event_packed("(call $chat (local.get $data) (local.get $len))");
        let guest = module(&format!("(module {chat} {ask})")).kept().with(|spec| {
            spec.limits.deadline = deadline;
            spec.scope.grants.ai = true;
            spec.host = Host::builder().ai(sender.clone()).build();
        });
        let runtime = WasmRuntime::builder().compiler(compiler).workers(2).build().unwrap();
        let load = || runtime.load(&guest.wasm, guest.spec.clone()).unwrap();
        sender.0.skills.get_or_init(|| [load(), load()]);
        sender.0.meet.get_or_init(|| Barrier::new(2));
        sender
    }

    fn run(&self, skill: usize, data: &str) -> String {
        said(self.0.skills.get().unwrap()[skill].run("ask", data.as_bytes()).result)
    }
}

const HOUR: Duration = Duration::from_secs(3600);

/// On each compiler, on a thread that may be given up.
#[track_caller]
fn ends(deadline: Duration, check: impl Fn(&Sender) + Copy + Send + 'static) {
    for compiler in Compiler::ALL {
        let (done, is_done) = channel();
        let thread = thread::spawn(move || {
            check(&Sender::new(*compiler, deadline));
            let _ = done.send(());
        });
        let waited = is_done.recv_timeout(Duration::from_secs(120));
        assert!(waited.is_ok() || thread.is_finished(), "it waits for itself on {}", compiler.name());
        thread.join().unwrap();
    }
}

#[test]
fn an_event_that_would_wait_for_itself_is_refused() {
    ends(HOUR, |sender| {
        for data in ["a-", "ba-", "bba", "s"] {
            assert_eq!(sender.run(0, data), "waits_for_itself", "{data}");
            // Everything is as if nothing had been.
            assert_eq!((sender.run(0, "-"), sender.run(0, "b-")), ("the end".into(), "the end".into()));
        }
        let sent = sender.0.skills.get().unwrap()[0].handle("ask", Bytes::from("a-"));
        let Outcome { result, .. } = all(vec![sent], |_| {}).remove(0);
        assert_eq!(said(result), "waits_for_itself");
    });
}

#[test]
fn of_two_events_on_two_threads_that_would_wait_for_each_other_one_is_refused() {
    ends(HOUR, |sender| {
        for _ in 0..20 {
            let other = sender.clone();
            let other = thread::spawn(move || other.run(1, "ma-"));
            let mut said = [sender.run(0, "mb-"), other.join().unwrap()];
            said.sort();
            assert_eq!(said, ["the end", "waits_for_itself"]);
        }
    });
}

#[test]
fn an_event_that_awaits_itself_ends_at_its_deadline() {
    ends(Duration::from_millis(100), |sender| {
        assert_eq!(sender.run(0, "w-"), "deadline_exceeded");
        // On a busy machine, others may come to their deadline too.
        assert!((0..1_000).any(|_| sender.run(0, "-") == "the end"));
    });
}
