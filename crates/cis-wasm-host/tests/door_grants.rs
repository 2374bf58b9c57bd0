//! What a skill was not granted, it is refused, and no backend hears of it.

mod support;

use bytes::Bytes;
use cis_wasm_abi::Status;
use cis_wasm_host::{
    Access, AiReply, Grants, Host, HostCall, HostReply, HttpGrant, HttpResponse, HttpRule, SecretGrant,
};
use support::backends::{Ai, Asked, Http, Memory};
use support::{block_on, event};

struct Counted {
    host: Host,
    memory: Asked,
    ai: Asked,
    http: Asked,
}

impl Counted {
    fn new() -> Counted {
        let (memory, ai, http) = (Asked::default(), Asked::default(), Asked::default());
        let host = Host::builder()
            .memory(Memory { asked: memory.clone(), answer: || Ok(Bytes::from_static(b"value")) })
            .ai(Ai {
                asked: ai.clone(),
                answer: |_| Ok(AiReply { text: "yes".into(), prompt_tokens: 1, reply_tokens: 1 }),
            })
            .http(Http {
                asked: http.clone(),
                answer: |_| Ok(HttpResponse { status: 200, body: Bytes::from_static(b"ok"), requests: 1 }),
            })
            .build();
        Counted { host, memory, ai, http }
    }

    fn asked(&self) -> usize {
        self.memory.times() + self.ai.times() + self.http.times()
    }
}

#[track_caller]
fn refused(grants: Grants, call: HostCall, why: &str) {
    let counted = Counted::new();
    let mut event = event("skill", grants);
    let reply = block_on(counted.host.call(&mut event, call.clone())).unwrap();
    assert_eq!(reply, HostReply::Status(Status::Denied), "{call:?}");
    let failure = event.last_failure.expect("a refusal leaves a failure for the operator");
    assert_eq!((failure.call, failure.status), (call.name(), Status::Denied));
    assert!(failure.message.contains(why), "{}", failure.message);
    assert_eq!(counted.asked(), 0, "{call:?}");
}

#[track_caller]
fn granted(grants: Grants, call: HostCall) {
    let counted = Counted::new();
    let mut event = event("skill", grants);
    let reply = block_on(counted.host.call(&mut event, call.clone())).unwrap();
    let error = matches!(reply, HostReply::Status(status) if status.is_error());
    assert!(!error, "{call:?}: {reply:?} {:?}", event.last_failure);
    assert_eq!(counted.asked(), 1, "{call:?}");
}

fn get(key: &str) -> HostCall {
    HostCall::MemoryGet { key: key.into() }
}

fn set(key: &str) -> HostCall {
    HostCall::MemorySet { key: key.into(), value: Bytes::from_static(b"v") }
}

fn delete(key: &str) -> HostCall {
    HostCall::MemoryDelete { key: key.into() }
}

fn list(prefix: &str) -> HostCall {
    HostCall::MemoryList { prefix: prefix.into() }
}

fn chat() -> HostCall {
    HostCall::AiChat { prompt: "really?".into() }
}

fn post(url: &str) -> HostCall {
    HostCall::HttpPost { url: url.into(), body: Bytes::new() }
}

fn memory(memory: Access) -> Grants {
    Grants { memory, ..Grants::default() }
}

fn shared(access: Access) -> Grants {
    Grants { shared_memory: [("team".parse().unwrap(), access)].into(), ..Grants::default() }
}

fn http(rules: &[&str]) -> Grants {
    let rules = rules.iter().map(|rule| rule.parse::<HttpRule>().unwrap()).collect();
    Grants { http: HttpGrant { rules }, ..Grants::default() }
}

#[test]
fn memory_follows_its_grant() {
    for call in [get("k"), list(""), set("k"), delete("k")] {
        refused(memory(Access::None), call.clone(), "skill/skill");
        granted(memory(Access::ReadWrite), call);
    }
    for call in [get("k"), list("")] {
        granted(memory(Access::Read), call);
    }
    for call in [set("k"), delete("k")] {
        refused(memory(Access::Read), call, "write `skill/skill`");
    }
}

#[test]
fn shared_memory_follows_the_grant_of_its_name() {
    for call in [get("@team/k"), list("@team/"), set("@team/k"), delete("@team/k")] {
        refused(Grants::default(), call.clone(), "shared/team");
        granted(shared(Access::ReadWrite), call);
    }
    for call in [get("@team/k"), list("@team/")] {
        granted(shared(Access::Read), call);
    }
    for call in [set("@team/k"), delete("@team/k")] {
        refused(shared(Access::Read), call, "write `shared/team`");
    }
    refused(shared(Access::ReadWrite), get("@teams/k"), "shared/teams");
}

#[test]
fn the_ai_is_asked_with_the_grant_only() {
    refused(Grants::default(), chat(), "permissions.ai");
    granted(Grants { ai: true, ..Grants::default() }, chat());
}

#[test]
fn http_goes_to_granted_origins_only() {
    refused(Grants::default(), post("https://api.example.com/"), "permissions.http.allow");
    let grants = http(&["api.example.com", "*.example.org", "http://plain.example", "odd.example:8443"]);
    for url in [
        "https://api.example.com/v1?q#f",
        "https://API.EXAMPLE.COM:443/",
        "https://a.b.example.org/",
        "http://plain.example/",
        "https://odd.example:8443/",
    ] {
        granted(grants.clone(), post(url));
    }
    for url in [
        "http://api.example.com/",
        "https://api.example.com:8443/",
        "https://api.example.com.evil.net/",
        "https://xapi.example.com/",
        "https://example.org/",
        "https://badexample.org/",
        "https://plain.example/",
        "https://odd.example/",
        "https://user@api.example.com/",
        "https://api.example.com@evil.net/",
    ] {
        refused(grants.clone(), post(url), "permissions.http.allow");
    }
}

#[test]
fn a_secret_goes_to_its_own_exact_host_only() {
    let secrets = cis_wasm_host::Secrets::new().with("token", "correct-horse");
    let secret = |rule: &str| SecretGrant {
        name: "token".into(),
        rule: rule.parse().unwrap(),
        header: "authorization".into(),
        prefix: "Bearer ".into(),
    };
    let check = |rule: &str, url: &str, sent: bool| {
        let grants = Grants { secrets: vec![secret(rule)], ..http(&["api.example.com", "*.example.org:*"]) };
        let url: url::Url = url.parse().unwrap();
        let request = cis_wasm_host::HttpRequest::new(url.clone(), Bytes::new(), grants.into(), secrets.clone().into());
        let headers: Vec<_> = request.secret_headers(&url).map(|(_, value)| value.expose().to_owned()).collect();
        assert_eq!(headers, if sent { vec!["Bearer correct-horse"] } else { vec![] }, "{rule} {url}");
    };
    check("api.example.com", "https://api.example.com/x", true);
    check("api.example.com", "http://api.example.com/x", false);
    check("api.example.com", "https://api.example.com:444/x", false);
    check("api.example.com", "https://a.example.org/x", false);
    check("a.example.org:9", "https://a.example.org:9/x", true);
    check("*.example.org", "https://a.example.org/x", false);
}

#[test]
fn log_config_and_error_text_need_no_grant() {
    let counted = Counted::new();
    let mut scope = support::scope("skill", memory(Access::None));
    scope.config.insert("limit".into(), 7.into());
    let mut event = cis_wasm_host::CallContext::new(scope.into());
    let mut call = |call| block_on(counted.host.call(&mut event, call)).unwrap();
    assert_eq!(call(HostCall::ConfigGet { key: "limit".into() }), HostReply::Bytes("7".into()));
    assert_eq!(call(HostCall::ConfigGet { key: "other".into() }), HostReply::OK);
    let log = HostCall::Log { level: cis_wasm_abi::Level::Warn, message: "hot".into() };
    assert_eq!(call(log), HostReply::OK);
    assert_eq!(call(HostCall::SetError { message: "broken".into() }), HostReply::OK);
    assert_eq!(event.log.len(), 1);
    assert_eq!(event.log[0].message, "hot");
    assert_eq!(event.error_text.as_deref(), Some("broken"));
}

#[test]
fn a_host_without_a_backend_says_so() {
    let host = Host::builder().build();
    let grants = Grants { ai: true, ..http(&["api.example.com"]) };
    for call in [get("k"), set("k"), delete("k"), list(""), chat(), post("https://api.example.com/")] {
        let mut event = event("skill", grants.clone());
        let reply = block_on(host.call(&mut event, call)).unwrap();
        assert_eq!(reply, HostReply::Status(Status::NotConfigured));
        assert!(event.last_failure.unwrap().message.contains("the host has no"));
    }
}
