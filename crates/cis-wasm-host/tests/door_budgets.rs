//! Every budget has a call that dies of exactly that budget, and lives with one more.

mod support;

use std::sync::Arc;

use bytes::Bytes;
use cis_wasm_abi::{Level, Status};
use cis_wasm_host::{
    AiReply, AiRequest, Amounts, BackendError, BackendErrorKind, CallContext, Fault, Grants, Host, HostCall, HostError,
    HostReply, HttpGrant, HttpRequest, HttpResponse, InMemory, Resource, SkillScope,
};
use support::backends::{Ai, Asked, Http};
use support::{block_on, scope};

fn host() -> Host {
    Host::builder()
        .memory(InMemory::new())
        .ai(Ai {
            asked: Asked::default(),
            answer: |_| Ok(AiReply { text: "ok".into(), prompt_tokens: 2, reply_tokens: 1 }),
        })
        .http(Http {
            asked: Asked::default(),
            answer: |_| Ok(HttpResponse { status: 200, body: Bytes::new(), requests: 1 }),
        })
        .build()
}

fn all_granted() -> SkillScope {
    let http = HttpGrant { rules: vec!["api.example.com".parse().unwrap()] };
    scope("skill", Grants { ai: true, http, ..Grants::default() })
}

fn with_budget(budget: Amounts) -> CallContext {
    CallContext::new(Arc::new(SkillScope { budget, ..all_granted() }))
}

/// `call` lives with `enough` of the resource, and dies of that resource with one less.
#[track_caller]
fn needs(resource: Resource, enough: u64, call: HostCall) {
    let run = |limit| {
        let host = host();
        let mut before = with_budget(Amounts::DEFAULT_LIMITS);
        let set = HostCall::MemorySet { key: "stored".into(), value: Bytes::from_static(b"12345") };
        block_on(host.call(&mut before, set)).unwrap();
        let mut event = with_budget(Amounts::DEFAULT_LIMITS.with(resource, limit));
        let reply = block_on(host.call(&mut event, call.clone()));
        assert!(event.ledger.used().of(resource) <= limit, "more was used than there was");
        reply
    };
    let reply = run(enough).unwrap();
    assert!(!matches!(reply, HostReply::Status(status) if status.is_error()), "{reply:?}");
    let error = run(enough - 1).unwrap_err();
    assert_eq!(error.fault(), Fault::Guest);
    assert!(error.to_string().contains(resource.name()), "{error}");
    match error {
        HostError::BudgetExhausted { call: name, resource: died_of, limit, .. } => {
            assert_eq!((name, died_of, limit), (call.name(), resource, enough - 1));
        }
        other => panic!("{other}"),
    }
}

#[test]
fn host_calls() {
    needs(Resource::HostCalls, 1, HostCall::ConfigGet { key: "k".into() });
}

#[test]
fn bytes_in() {
    needs(Resource::BytesIn, 3, HostCall::SetError { message: "abc".into() });
}

#[test]
fn bytes_out() {
    needs(Resource::BytesOut, 5, HostCall::MemoryGet { key: "stored".into() });
}

#[test]
fn memory_writes() {
    needs(Resource::MemoryWrites, 1, HostCall::MemorySet { key: "k".into(), value: Bytes::new() });
    needs(Resource::MemoryWrites, 1, HostCall::MemoryDelete { key: "stored".into() });
}

#[test]
fn memory_write_bytes() {
    needs(Resource::MemoryWriteBytes, 4, HostCall::MemorySet { key: "k".into(), value: Bytes::from_static(b"abc") });
}

#[test]
fn ai_calls() {
    needs(Resource::AiCalls, 1, HostCall::AiChat { prompt: "why".into() });
}

#[test]
fn ai_tokens() {
    needs(Resource::AiTokens, 3, HostCall::AiChat { prompt: "four".into() });
}

#[test]
fn http_requests() {
    needs(Resource::HttpRequests, 1, post(b""));
}

#[test]
fn http_bytes() {
    needs(Resource::HttpBytes, 4, post(b"body"));
}

#[test]
fn log_lines() {
    needs(Resource::LogLines, 1, log("line"));
}

#[test]
fn log_bytes() {
    needs(Resource::LogBytes, 4, log("line"));
}

#[test]
fn every_resource_has_a_case_here() {
    let here = include_str!("door_budgets.rs");
    for resource in Resource::ALL {
        assert!(here.contains(&format!("fn {}()", resource.name())), "{}", resource.name());
        assert_eq!(Resource::from_name(resource.name()), Some(resource));
    }
}

fn post(body: &'static [u8]) -> HostCall {
    HostCall::HttpPost { url: "https://api.example.com/".into(), body: Bytes::from_static(body) }
}

fn log(message: &str) -> HostCall {
    HostCall::Log { level: Level::Info, message: message.into() }
}

#[test]
fn the_ai_is_told_what_is_left_and_charged_what_it_took() {
    let host = Host::builder()
        .ai(Ai {
            asked: Asked::default(),
            answer: |request: AiRequest| {
                // 100, less the 3 that "12345678" is estimated at.
                assert_eq!(request.max_reply_tokens, 97);
                Ok(AiReply { text: "ok".into(), prompt_tokens: 5, reply_tokens: 10 })
            },
        })
        .build();
    let mut event = with_budget(Amounts::DEFAULT_LIMITS.with(Resource::AiTokens, 100));
    let chat = HostCall::AiChat { prompt: "12345678".into() };
    assert_eq!(block_on(host.call(&mut event, chat)).unwrap(), HostReply::Bytes("ok".into()));
    assert_eq!(event.ledger.used().of(Resource::AiTokens), 15);
}

#[test]
fn an_ai_that_takes_more_than_was_left_ends_the_next_call() {
    let host = Host::builder()
        .ai(Ai {
            asked: Asked::default(),
            answer: |_| Ok(AiReply { text: "ok".into(), prompt_tokens: 1000, reply_tokens: u64::MAX }),
        })
        .build();
    let mut event = with_budget(Amounts::DEFAULT_LIMITS);
    let chat = HostCall::AiChat { prompt: "why".into() };
    block_on(host.call(&mut event, chat.clone())).unwrap();
    let error = block_on(host.call(&mut event, chat)).unwrap_err();
    assert!(matches!(error, HostError::BudgetExhausted { resource: Resource::AiTokens, left: 0, .. }), "{error}");
}

#[test]
fn a_failed_ai_call_costs_its_prompt() {
    let host = Host::builder()
        .ai(Ai { asked: Asked::default(), answer: |_| Err(BackendError::new(BackendErrorKind::Upstream, "busy")) })
        .build();
    let mut event = with_budget(Amounts::DEFAULT_LIMITS);
    let chat = HostCall::AiChat { prompt: "12345678".into() };
    assert_eq!(block_on(host.call(&mut event, chat)).unwrap(), HostReply::Status(Status::UpstreamError));
    assert_eq!(event.ledger.used().of(Resource::AiTokens), 3);
    assert_eq!(event.ledger.used().of(Resource::AiCalls), 1);
}

#[test]
fn the_hops_of_a_redirect_are_charged() {
    let host = Host::builder()
        .http(Http {
            asked: Asked::default(),
            answer: |request: HttpRequest| {
                assert_eq!(request.max_requests, 5);
                Ok(HttpResponse { status: 200, body: Bytes::from_static(b"12345"), requests: 3 })
            },
        })
        .build();
    let mut event = with_budget(Amounts::DEFAULT_LIMITS.with(Resource::HttpRequests, 5));
    block_on(host.call(&mut event, post(b"body"))).unwrap();
    assert_eq!(event.ledger.used().of(Resource::HttpRequests), 3);
    assert_eq!(event.ledger.used().of(Resource::HttpBytes), 9);
}

#[test]
fn a_failed_http_call_is_charged_what_it_cost() {
    let host = Host::builder()
        .http(Http {
            asked: Asked::default(),
            answer: |request: HttpRequest| {
                for _ in 0..4 {
                    request.note_request();
                }
                request.note_received(1000);
                Err(BackendError::new(BackendErrorKind::TimedOut, "dripped"))
            },
        })
        .build();
    let mut event = with_budget(Amounts::DEFAULT_LIMITS);
    assert_eq!(block_on(host.call(&mut event, post(b"body"))).unwrap(), HostReply::Status(Status::TimedOut));
    assert_eq!(event.ledger.used().of(Resource::HttpRequests), 4);
    assert_eq!(event.ledger.used().of(Resource::HttpBytes), 1004);
}

#[test]
fn a_response_above_the_budget_is_refused_and_uses_it_up() {
    let host = Host::builder()
        .http(Http {
            asked: Asked::default(),
            answer: |request: HttpRequest| {
                assert_eq!(request.max_response_bytes, 6);
                Ok(HttpResponse { status: 200, body: Bytes::from_static(b"1234567"), requests: 1 })
            },
        })
        .build();
    let mut event = with_budget(Amounts::DEFAULT_LIMITS.with(Resource::HttpBytes, 10));
    assert_eq!(block_on(host.call(&mut event, post(b"body"))).unwrap(), HostReply::Status(Status::TooLarge));
    assert_eq!(event.ledger.left(Resource::HttpBytes), 0);
}

#[test]
fn a_refused_call_still_counts_as_a_call() {
    let host = host();
    let mut event = CallContext::new(Arc::new(SkillScope {
        budget: Amounts::DEFAULT_LIMITS,
        ..SkillScope::new("s".parse().unwrap())
    }));
    let chat = HostCall::AiChat { prompt: "why".into() };
    assert_eq!(block_on(host.call(&mut event, chat)).unwrap(), HostReply::Status(Status::Denied));
    assert_eq!(event.ledger.used().of(Resource::HostCalls), 1);
    assert_eq!(event.ledger.used().of(Resource::BytesIn), 3);
    assert_eq!(event.ledger.used().of(Resource::AiCalls), 0);
}
