//! The test host answers as the real host does: the same calls, side by side.

use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use cis_skill_sdk::ceilings;
use cis_skill_sdk::native::{Access, TestHost};
use cis_skill_sdk::prelude::*;
use cis_wasm_host::{CallContext, Grants, Host, HostCall, HostReply, HttpGrant, InMemory, SkillScope};

/// What both answered, in one form.
type Answer = Result<Option<Vec<u8>>, i32>;

struct Both {
    test: TestHost,
    host: Host,
    context: CallContext,
}

impl Both {
    /// Two hosts with the same grants: the shared namespaces `team` to read and write, `news` to read.
    fn new(own: Access, rules: &[&str]) -> Self {
        let mut test = TestHost::new()
            .grant_memory(own)
            .grant_shared_memory("team", Access::ReadWrite)
            .grant_shared_memory("news", Access::Read)
            .quota(20, 4096);
        let mut grants = Grants { memory: real(own), ..Grants::default() };
        grants.shared_memory.insert("team".parse().unwrap(), cis_wasm_host::Access::ReadWrite);
        grants.shared_memory.insert("news".parse().unwrap(), cis_wasm_host::Access::Read);
        for rule in rules {
            test = test.grant_http(rule);
        }
        grants.http = HttpGrant { rules: rules.iter().map(|rule| rule.parse().unwrap()).collect() };
        let mut scope = SkillScope::new("probe".parse().unwrap());
        scope.grants = grants;
        scope.quota.keys = 20;
        scope.quota.bytes = 4096;
        let host = Host::builder().memory(InMemory::new()).build();
        Both { test, host, context: CallContext::new(Arc::new(scope)) }
    }

    #[track_caller]
    fn same(&mut self, call: HostCall) -> Answer {
        let ours = self.test.run(|| ours(&call));
        // Budgets are per event; every call is one here.
        self.context = CallContext::new(Arc::new(self.context.scope().clone()));
        let theirs = match block_on(self.host.call(&mut self.context, call.clone())).unwrap() {
            HostReply::Bytes(bytes) => Ok(Some(bytes.to_vec())),
            HostReply::Status(status) if status.is_error() => Err(status.code()),
            HostReply::Status(Status::NotFound) => Ok(Some(Vec::new())),
            HostReply::Status(_) => Ok(None),
        };
        assert_eq!(ours, theirs, "{call:?}");
        ours
    }
}

fn ours(call: &HostCall) -> Answer {
    let answer = match call {
        HostCall::MemoryGet { key } => Memory::get(key),
        HostCall::MemorySet { key, value } => Memory::set(key, value).map(|()| None),
        HostCall::MemoryDelete { key } => Memory::delete(key).map(|deleted| (!deleted).then(Vec::new)),
        HostCall::MemoryList { prefix } => {
            // As the bytes of the list, which is what crosses the boundary.
            Memory::list(prefix).map(|keys| {
                let mut list = Vec::new();
                for key in keys.iter() {
                    list.extend_from_slice(&(key.len() as u32).to_le_bytes());
                    list.extend_from_slice(key.as_bytes());
                }
                Some(list)
            })
        }
        HostCall::HttpPost { url, body } => Http::post(url, body).map(Some),
        HostCall::AiChat { prompt } => Ai::chat(prompt).map(|text| Some(text.into_bytes())),
        HostCall::ConfigGet { key } => Config::raw(key).map(|text| text.map(String::into_bytes)),
        other => panic!("{other:?} has no answer to compare"),
    };
    answer.map_err(|error| error.code())
}

fn real(access: Access) -> cis_wasm_host::Access {
    match access {
        Access::None => cis_wasm_host::Access::None,
        Access::Read => cis_wasm_host::Access::Read,
        Access::ReadWrite => cis_wasm_host::Access::ReadWrite,
    }
}

fn block_on<F: Future>(future: F) -> F::Output {
    let mut future = std::pin::pin!(future);
    loop {
        if let Poll::Ready(done) = future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            return done;
        }
    }
}

/// A generator of numbers that are the same in every run.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % bound
    }

    fn of<T: Clone>(&mut self, values: &[T]) -> T {
        values[self.below(values.len())].clone()
    }
}

fn keys() -> Vec<String> {
    let long = "k".repeat(ceilings::KEY);
    let mut keys: Vec<String> = ["a", "b", "note/1", "note/2", "né", " ", "/", "a@b", "\0", "..", "skill/probe/a"]
        .into_iter()
        .flat_map(|key| [key.to_owned(), format!("@team/{key}"), format!("@news/{key}"), format!("@other/{key}")])
        .collect();
    let odd =
        ["", "@", "@team", "@team/", "@/a", "@Team/a", "@-team/a", "@te am/a", "@team//a", "@@team/a", "@team/@x"];
    keys.extend(odd.map(str::to_owned));
    keys.extend([long.clone(), format!("{long}k"), format!("@team/{long}"), format!("@team/{long}k")]);
    keys.extend([format!("@{}/a", "n".repeat(64)), format!("@{}/a", "n".repeat(65))]);
    keys
}

#[test]
fn memory_answers_the_same() {
    for (own, seed) in [(Access::ReadWrite, 1), (Access::Read, 2), (Access::None, 3)] {
        let mut both = Both::new(own, &[]);
        let (keys, mut dice) = (keys(), Dice(seed));
        let mut seen = std::collections::BTreeSet::new();
        for _ in 0..6_000 {
            let key = dice.of(&keys);
            let answer = both.same(match dice.below(5) {
                0 => HostCall::MemoryGet { key },
                1 | 2 => HostCall::MemorySet { key, value: vec![7; dice.of(&[0, 1, 100, 900, 3000])].into() },
                3 => HostCall::MemoryDelete { key },
                _ => HostCall::MemoryList { prefix: key.chars().take(dice.below(8)).collect() },
            });
            seen.insert(answer.map(|bytes| bytes.is_some()));
        }
        // What is compared is not all of one kind.
        assert!(seen.contains(&Err(Status::Denied.code())) && seen.contains(&Err(Status::InvalidArgument.code())));
        assert!(seen.contains(&Err(Status::TooLarge.code())) && seen.contains(&Ok(true)));
        assert!(seen.contains(&Err(Status::QuotaExceeded.code())));
    }
}

#[test]
fn ceilings_are_the_same() {
    let mut both = Both::new(Access::ReadWrite, &["https://api.example.com"]);
    let large = vec![0; ceilings::VALUE + 1];
    let set = |key: &str, value: Vec<u8>| HostCall::MemorySet { key: key.to_owned(), value: value.into() };
    assert_eq!(both.same(set("a", large.clone())), Err(Status::TooLarge.code()));
    assert_eq!(both.same(set("", large.clone())), Err(Status::InvalidArgument.code()));
    assert_eq!(both.same(set("@news/a", large.clone())), Err(Status::Denied.code()));
    let post = |url: &str, body: Vec<u8>| HostCall::HttpPost { url: url.to_owned(), body: body.into() };
    assert_eq!(both.same(post("https://api.example.com/", large.clone())), Err(Status::TooLarge.code()));
    assert_eq!(both.same(post(&"x".repeat(ceilings::URL + 1), Vec::new())), Err(Status::TooLarge.code()));
    assert_eq!(both.same(HostCall::AiChat { prompt: "hi".into() }), Err(Status::Denied.code()));
    assert_eq!(both.same(HostCall::ConfigGet { key: "none".into() }), Ok(None));
}

/// Neither host has HTTP, so that a URL that is allowed is one that is not configured.
#[test]
fn urls_are_allowed_the_same() {
    let rules =
        ["https://api.example.com", "*.example.org", "http://127.0.0.1:*", "http://[::1]:8080", "https://x.net:444"];
    let mut both = Both::new(Access::ReadWrite, &rules);
    let allowed = [
        "https://api.example.com",
        "https://api.example.com/",
        "https://API.example.com/a?b#c",
        "https://api.example.com:443/",
        "HTTPS://api.example.com",
        "https://a.example.org/",
        "https://a.b.example.org/",
        "http://127.0.0.1/",
        "http://127.0.0.1:8080/x",
        "http://[::1]:8080/",
        "https://x.net:444/",
        "https://api.example.com?q",
    ];
    let denied = [
        "http://api.example.com/",
        "https://api.example.com:444/",
        "https://api.example.com.evil.net/",
        "https://evil.net/api.example.com",
        "https://evil.net?api.example.com",
        "https://evil.net#@api.example.com",
        "https://api.example.com@evil.net/",
        "https://user@api.example.com/",
        "https://user:pw@api.example.com/",
        "https://example.org/",
        "https://badexample.org/",
        "https://a.example.org:444/",
        "https://127.0.0.1/",
        "http://127.0.0.2/",
        "http://[::1]/",
        "http://[::2]:8080/",
        "https://x.net/",
        "ftp://api.example.com/",
        "https://evil.net:443/",
        "https://api.example.com./",
    ];
    let invalid = [
        "",
        "api.example.com",
        "/x",
        "https://",
        "https:///",
        "https://api.example.com:x/",
        "https://[::1",
        "https://api.example.com:99999/",
    ];
    let post = |url: &str| HostCall::HttpPost { url: url.to_owned(), body: "".into() };
    for (urls, status) in
        [(&allowed[..], Status::NotConfigured), (&denied, Status::Denied), (&invalid, Status::InvalidArgument)]
    {
        for url in urls {
            // Where the forms differ, the test host is the stricter one.
            let ours = both.test.run(|| ours(&post(url)));
            assert_eq!(ours, Err(status.code()), "{url}");
            if *url != "https:///" {
                assert_eq!(both.same(post(url)), Err(status.code()), "{url}");
            }
        }
    }
    // Forms that need a full parser are refused here, whatever the real host makes of them.
    for url in [
        "http://0x7f.1/",
        "http://127.1/",
        "http://2130706433/",
        "https://exämple.com/",
        "https://a\\b/",
        "https://a b/",
    ] {
        assert_eq!(both.test.run(|| ours(&post(url))), Err(Status::InvalidArgument.code()), "{url}");
    }
}
