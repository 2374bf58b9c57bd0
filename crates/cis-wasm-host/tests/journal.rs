//! A journalled run is answered again without any backend, at the same cost, and a run that differs is told apart.

mod support;

use std::sync::Arc;

use bytes::Bytes;
use cis_wasm_abi::{Level, Status};
use cis_wasm_host::{
    AiReply, AiRequest, Answer, BackendError, BackendErrorKind, CallContext, Fault, Grants, Host, HostCall, HostError,
    HostReply, HttpGrant, HttpRequest, HttpResponse, InMemory, Journal, JournalEntry, Resource, Secrets, SkillScope,
};
use support::backends::{Ai, Asked, Http};
use support::{block_on, scope};

fn set(key: &str, value: &'static str) -> HostCall {
    HostCall::MemorySet { key: key.into(), value: Bytes::from_static(value.as_bytes()) }
}

fn get(key: &str) -> HostCall {
    HostCall::MemoryGet { key: key.into() }
}

fn post(body: &'static str) -> HostCall {
    HostCall::HttpPost { url: "https://hooks.test/x".into(), body: Bytes::from_static(body.as_bytes()) }
}

fn ask(prompt: &str) -> HostCall {
    HostCall::AiChat { prompt: prompt.into() }
}

/// A call of every kind, and some that are refused.
fn run() -> Vec<HostCall> {
    vec![
        set("k", "v"),
        get("k"),
        get(""),
        ask("why"),
        ask("fail"),
        post("hello"),
        post("fail"),
        HostCall::Log { level: Level::Info, message: "done".into() },
        HostCall::MemoryDelete { key: "other".into() },
        HostCall::MemoryList { prefix: "".into() },
        HostCall::ConfigGet { key: "lang".into() },
        HostCall::SetError { message: "what a pity".into() },
    ]
}

/// A scope with every grant.
fn granted() -> Arc<SkillScope> {
    let http = HttpGrant { rules: vec!["hooks.test".parse().unwrap()] };
    let grants = Grants { ai: true, http, ..Grants::default() };
    let mut scope = scope("skill", grants);
    scope.config.insert("lang".into(), "en".into());
    Arc::new(scope)
}

/// A host with every backend, and how often it was asked for something that costs.
fn host() -> (Host, Asked) {
    let asked = Asked::default();
    let failed = |message: &str| BackendError::new(BackendErrorKind::Upstream, message);
    let host = Host::builder()
        .memory(InMemory::new())
        .ai(Ai {
            asked: asked.clone(),
            answer: move |request: AiRequest| match request.prompt.as_str() {
                "fail" => Err(failed("the model is away")),
                _ => Ok(AiReply { text: "because".into(), prompt_tokens: 11, reply_tokens: 7 }),
            },
        })
        .http(Http {
            asked: asked.clone(),
            answer: move |request: HttpRequest| match &request.body[..] {
                b"fail" => Err(failed("the server is away")),
                body => Ok(HttpResponse { status: 200, body: Bytes::copy_from_slice(body), requests: 3 }),
            },
        })
        .build();
    (host, asked)
}

fn event(scope: Arc<SkillScope>, journal: Journal) -> CallContext {
    let mut event = CallContext::new(scope);
    event.journal = journal;
    event
}

/// Makes calls until one ends the event.
fn make(host: &Host, event: &mut CallContext, calls: Vec<HostCall>) -> Vec<Result<HostReply, HostError>> {
    let mut replies = Vec::new();
    for call in calls {
        replies.push(block_on(host.call(event, call)));
        if replies.last().unwrap().is_err() {
            break;
        }
    }
    replies
}

/// The run with a journal, and its replies.
fn recorded() -> (CallContext, Vec<Result<HostReply, HostError>>) {
    let mut event = event(granted(), Journal::record());
    let replies = make(&host().0, &mut event, run());
    (event, replies)
}

#[track_caller]
fn same(a: &CallContext, b: &CallContext) {
    assert_eq!(a.ledger, b.ledger);
    assert_eq!(a.log, b.log);
    assert_eq!(a.error_text, b.error_text);
    assert_eq!(a.last_failure, b.last_failure);
    assert_eq!(a.journal.entries(), b.journal.entries());
}

fn short(replies: &[Result<HostReply, HostError>]) -> Vec<String> {
    let short = |reply: &_| match reply {
        Ok(HostReply::Bytes(bytes)) => String::from_utf8_lossy(bytes).into_owned(),
        Ok(HostReply::Status(status)) => status.name().to_owned(),
        Err(error) => format!("{error}"),
    };
    replies.iter().map(short).collect()
}

#[test]
fn a_journal_holds_every_call_with_its_answer_and_its_cost() {
    let (event, replies) = recorded();
    let entries = event.journal.entries();
    assert!(entries.iter().map(|entry| &entry.call).eq(&run()));
    assert_eq!(
        short(&replies),
        [
            "ok",
            "v",
            "invalid_argument",
            "because",
            "upstream_error",
            "hello",
            "upstream_error",
            "ok",
            "not_found",
            "\u{1}\0\0\0k",
            "\"en\"",
            "ok",
        ]
    );
    let costs: Vec<_> = entries.iter().map(|entry| (entry.charge.count, entry.charge.amount)).collect();
    assert_eq!(
        costs,
        [(1, 2), (0, 0), (0, 0), (1, 18), (1, 2), (3, 10), (1, 4), (1, 4), (1, 0), (0, 0), (0, 0), (0, 0)]
    );
    let message = "the model is away".into();
    assert_eq!(entries[4].answer, Answer::Refused { status: Status::UpstreamError, message });
}

#[test]
fn a_replay_asks_no_backend_and_costs_the_same() {
    let (event_then, replies) = recorded();
    let mut again = event(granted(), Journal::replay(event_then.journal.entries()));
    assert_eq!(make(&Host::default(), &mut again, run()), replies);
    same(&again, &event_then);
    again.journal.finish().unwrap();
}

#[test]
fn a_run_that_goes_on_from_any_call_ends_as_if_it_had_never_stopped() {
    let (whole, replies) = recorded();
    for kept in 0..=run().len() {
        let (host, asked) = host();
        // The memory of the first part lives on, as a backend's does.
        let mut first = event(granted(), Journal::record());
        make(&host, &mut first, run()[..kept].to_vec());
        let before = asked.times();
        let mut again = event(granted(), first.journal.again());
        assert_eq!(again.journal.is_replaying(), kept > 0);
        assert_eq!(make(&host, &mut again, run()), replies, "from call {kept} on");
        assert_eq!(asked.times() - before, 4 - before, "nothing is asked twice");
        same(&again, &whole);
        again.journal.finish().unwrap();
    }
}

#[test]
fn an_event_that_ends_at_a_budget_ends_there_again() {
    let (whole, _) = recorded();
    let mut ended = 0;
    for (resource, used) in whole.ledger.used().iter() {
        for limit in 0..=used.min(12) {
            let mut scope = (*granted()).clone();
            scope.budget = scope.budget.with(resource, limit);
            let scope = Arc::new(scope);
            let mut first = event(scope.clone(), Journal::record());
            let replies = make(&host().0, &mut first, run());
            let mut again = event(scope, Journal::replay(first.journal.entries()));
            assert_eq!(make(&Host::default(), &mut again, run()), replies, "{limit} {}", resource.name());
            same(&again, &first);
            ended += usize::from(replies.last().unwrap().is_err());
        }
    }
    assert!(ended > Resource::ALL.len(), "{ended} of the runs reached a limit");
}

#[test]
fn a_run_that_differs_ends_and_says_where() {
    let (whole, _) = recorded();
    #[track_caller]
    fn check(entries: &[JournalEntry], index: usize, call: HostCall, expected: &str) {
        let mut again = event(granted(), Journal::replay(entries));
        make(&Host::default(), &mut again, run()[..index].to_vec());
        let error = block_on(Host::default().call(&mut again, call)).unwrap_err();
        assert_eq!(error.fault(), Fault::Bug);
        assert!(matches!(error, HostError::Diverged { index: at, .. } if at == index), "{error}");
        let text = error.to_string();
        assert!(text.starts_with(&format!("host call {index} is not the one in the journal: {expected};")), "{text}");
    }
    let entries = whole.journal.entries();
    check(
        entries,
        0,
        set("k", "w"),
        "host_memory_set with another value (1 bytes, in the journal 1), from byte 0 on: \"w\", in the journal \"v\"",
    );
    check(entries, 0, get("k"), "the run has host_memory_get with 1 bytes, the journal host_memory_set with 2 bytes");
    check(
        entries,
        1,
        get("ka"),
        "host_memory_get with another key (2 bytes, in the journal 1), from byte 1 on: \"ka\", in the journal \"k\"",
    );
    let warn = HostCall::Log { level: Level::Warn, message: "done".into() };
    check(entries, 7, warn, "host_log with the level warn, in the journal info");

    let mut again = event(granted(), Journal::replay(entries));
    let late = Journal::replay(entries).finish().unwrap_err();
    assert!(late.to_string().contains("the run ended; the journal has host_memory_set with 2 bytes"), "{late}");
    make(&Host::default(), &mut again, run());
    let error = block_on(Host::default().call(&mut again, get("k"))).unwrap_err();
    assert_eq!(error, HostError::NotJournalled { index: 12, call: "host_memory_get" });
}

#[test]
fn a_difference_is_told_in_few_words_and_without_secrets() {
    const SECRET: &str = "correct-horse-battery";
    let long = |end: &str| ask(&format!("{}{SECRET}{end}", "é".repeat(500_000)));
    let host = Host::builder().secrets(Secrets::new().with("token", SECRET)).build();
    let mut first = event(granted(), Journal::record());
    block_on(host.call(&mut first, long("a"))).unwrap();
    for other in [long("b"), ask(&SECRET[..20]), ask(SECRET), ask("")] {
        let mut again = event(granted(), Journal::replay(first.journal.entries()));
        let text = block_on(host.call(&mut again, other)).unwrap_err().to_string();
        assert!(text.len() < 500, "{text}");
        assert!(!text.contains(SECRET), "{text}");
    }
}

#[test]
fn a_call_that_was_given_up_is_kept_and_asked_again() {
    struct Never;
    #[async_trait::async_trait]
    impl cis_wasm_host::AiBackend for Never {
        async fn chat(&self, _: AiRequest) -> Result<AiReply, BackendError> {
            std::future::pending().await
        }
    }
    let stalled = Host::builder().memory(InMemory::new()).ai(Never).build();
    let mut first = event(granted(), Journal::record());
    block_on(stalled.call(&mut first, set("k", "v"))).unwrap();
    {
        let mut call = std::pin::pin!(stalled.call(&mut first, ask("why")));
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        assert!(call.as_mut().poll(&mut context).is_pending());
    }
    let [_, given_up] = first.journal.entries() else { panic!("two calls") };
    assert_eq!((&given_up.call, &given_up.answer), (&ask("why"), &Answer::Unanswered));
    assert_eq!(given_up.charge.count, 1);

    // Offline, the run ends in that call.
    let mut replay = event(granted(), Journal::replay(first.journal.entries()));
    let replies = make(&Host::default(), &mut replay, vec![set("k", "v"), ask("why")]);
    assert_eq!(replies[1], Err(HostError::NotJournalled { index: 1, call: "host_ai_chat" }));

    // With a host that answers, it goes on.
    let mut again = event(granted(), first.journal.again());
    let replies = make(&host().0, &mut again, vec![set("k", "v"), ask("why")]);
    assert_eq!(short(&replies), ["ok", "because"]);
    assert_eq!(again.ledger.used().of(Resource::AiTokens), 18);
}
