//! A backend that fails, panics or answers too much is a status for the guest and a message for the operator.

mod support;

use bytes::Bytes;
use cis_wasm_abi::{Status, ceilings};
use cis_wasm_host::{
    AiReply, BackendError, BackendErrorKind, Grants, Host, HostCall, HostReply, HttpGrant, HttpResponse, Secrets,
};
use support::backends::{Ai, Asked, Http, Memory};
use support::{block_on, event};

fn all_granted() -> Grants {
    Grants { ai: true, http: HttpGrant { rules: vec!["api.example.com".parse().unwrap()] }, ..Grants::default() }
}

fn calls() -> [HostCall; 6] {
    [
        HostCall::MemoryGet { key: "k".into() },
        HostCall::MemorySet { key: "k".into(), value: Bytes::new() },
        HostCall::MemoryDelete { key: "k".into() },
        HostCall::MemoryList { prefix: "k".into() },
        HostCall::AiChat { prompt: "why".into() },
        HostCall::HttpPost { url: "https://api.example.com/".into(), body: Bytes::new() },
    ]
}

/// A host of which every backend ends in `fail`.
fn failing(fail: impl Fn() -> BackendError + Clone + Send + Sync + 'static) -> Host {
    let (memory, ai, http) = (fail.clone(), fail.clone(), fail);
    Host::builder()
        .memory(Memory { asked: Asked::default(), answer: move || Err(memory()) })
        .ai(Ai { asked: Asked::default(), answer: move |_| Err(ai()) })
        .http(Http { asked: Asked::default(), answer: move |_| Err(http()) })
        .secrets(Secrets::new().with("token", "correct-horse"))
        .build()
}

#[track_caller]
fn all_answer(host: &Host, status: Status, why: &str) {
    for call in calls() {
        let mut event = event("skill", all_granted());
        let reply = block_on(host.call(&mut event, call.clone())).unwrap();
        assert_eq!(reply, HostReply::Status(status), "{call:?}");
        assert_eq!(event.last_failure.unwrap().message, why, "{call:?}");
        // The next call of the same event is served.
        let mut event = support::event("skill", all_granted());
        assert_eq!(block_on(host.call(&mut event, HostCall::ConfigGet { key: "k".into() })).unwrap(), HostReply::OK);
    }
}

#[test]
fn every_kind_of_failure_has_its_status() {
    for (kind, status) in [
        (BackendErrorKind::Denied, Status::Denied),
        (BackendErrorKind::Failed, Status::BackendFailed),
        (BackendErrorKind::InvalidRequest, Status::InvalidArgument),
        (BackendErrorKind::QuotaExceeded, Status::QuotaExceeded),
        (BackendErrorKind::TimedOut, Status::TimedOut),
        (BackendErrorKind::TooLarge, Status::TooLarge),
        (BackendErrorKind::Upstream, Status::UpstreamError),
    ] {
        all_answer(&failing(move || BackendError::new(kind, "it rained")), status, "it rained");
    }
}

#[test]
fn a_panic_is_a_failure_of_the_backend() {
    all_answer(&failing(|| panic!("it broke")), Status::BackendFailed, "the backend panicked: it broke");
}

#[test]
fn a_failure_does_not_tell_a_secret() {
    let host = failing(|| BackendError::new(BackendErrorKind::Failed, "sent Correct-Horse to nobody"));
    all_answer(&host, Status::BackendFailed, "sent [secret] to nobody");
}

#[test]
fn a_backend_that_answers_too_much_is_refused() {
    let host = |len: usize| {
        Host::builder()
            .memory(Memory { asked: Asked::default(), answer: move || Ok(Bytes::from(vec![b'x'; len])) })
            .ai(Ai {
                asked: Asked::default(),
                answer: move |_| Ok(AiReply { text: "x".repeat(len), prompt_tokens: 1, reply_tokens: 1 }),
            })
            .http(Http {
                asked: Asked::default(),
                answer: move |_| Ok(HttpResponse { status: 200, body: Bytes::from(vec![b'x'; len]), requests: 1 }),
            })
            .build()
    };
    let reply = |len, call| block_on(host(len).call(&mut event("skill", all_granted()), call)).unwrap();
    let [get, _, _, list, chat, post] = calls();
    for (call, ceiling) in
        [(get, ceilings::VALUE), (list, ceilings::KEY_LIST - 4), (chat, ceilings::REPLY), (post, ceilings::REPLY)]
    {
        assert!(matches!(reply(ceiling, call.clone()), HostReply::Bytes(_)), "{call:?}");
        assert_eq!(reply(ceiling + 1, call), HostReply::Status(Status::TooLarge));
    }
}

#[test]
fn arguments_have_ceilings_before_any_backend_is_asked() {
    let asked = Asked::default();
    let host = Host::builder()
        .ai(Ai { asked: asked.clone(), answer: |_| unreachable!() })
        .http(Http { asked: asked.clone(), answer: |_| unreachable!() })
        .build();
    let url = format!("https://api.example.com/{}", "x".repeat(ceilings::URL));
    for call in [
        HostCall::AiChat { prompt: "x".repeat(ceilings::PROMPT + 1) },
        HostCall::HttpPost { url, body: Bytes::new() },
        HostCall::HttpPost {
            url: "https://api.example.com/".into(),
            body: Bytes::from(vec![0; ceilings::HTTP_BODY + 1]),
        },
    ] {
        let reply = block_on(host.call(&mut event("skill", all_granted()), call)).unwrap();
        assert_eq!(reply, HostReply::Status(Status::TooLarge));
    }
    assert_eq!(asked.times(), 0);
}

#[test]
fn a_url_that_does_not_parse_is_an_invalid_argument() {
    for url in ["", "api.example.com", "https://", "https://[::1", "https://a b/", "https://exa%mple/"] {
        let mut event = event("skill", all_granted());
        let call = HostCall::HttpPost { url: url.into(), body: Bytes::new() };
        let reply = block_on(failing(|| unreachable!()).call(&mut event, call)).unwrap();
        assert_eq!(reply, HostReply::Status(Status::InvalidArgument), "{url}");
    }
}

#[test]
fn only_a_success_hands_its_body_to_the_guest() {
    for (status, reply) in [
        (200, HostReply::Bytes("body".into())),
        (204, HostReply::Bytes("body".into())),
        (302, HostReply::Status(Status::UpstreamError)),
        (404, HostReply::Status(Status::UpstreamError)),
        (500, HostReply::Status(Status::UpstreamError)),
    ] {
        let host = Host::builder()
            .http(Http {
                asked: Asked::default(),
                answer: move |_| Ok(HttpResponse { status, body: "body".into(), requests: 1 }),
            })
            .build();
        let [.., post] = calls();
        assert_eq!(block_on(host.call(&mut event("skill", all_granted()), post)).unwrap(), reply, "{status}");
    }
}

#[test]
fn long_texts_are_cut_at_a_characters_edge() {
    let host = Host::builder().build();
    let mut event = event("skill", Grants::default());
    let message = format!("x{}", "é".repeat(ceilings::LOG_LINE));
    for call in
        [HostCall::Log { level: cis_wasm_abi::Level::Info, message: message.clone() }, HostCall::SetError { message }]
    {
        block_on(host.call(&mut event, call)).unwrap();
    }
    assert_eq!(event.log[0].message.len(), ceilings::LOG_LINE - 1);
    assert_eq!(event.error_text.unwrap().len(), ceilings::ERROR_TEXT - 1);
}
