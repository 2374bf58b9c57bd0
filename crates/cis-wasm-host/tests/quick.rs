//! A call that is answered on the spot leaves its event as the same call does by the long way.

mod support;

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use cis_wasm_abi::{Level, ceilings};
use cis_wasm_host::{
    Access, BackendError, CallContext, Grants, Host, HostCall, HostError, HostReply, ImmediateMemory, InMemory,
    Journal, MemoryBackend, Namespace, QuickCall, Quota, Resource, SkillScope,
};
use support::{block_on, scope};

type Calls<'a> = Vec<QuickCall<'a>>;
type Replies = Vec<Result<HostReply, HostError>>;

/// The long way.
fn slowly(host: &Host, context: &mut CallContext, calls: &Calls<'_>) -> Replies {
    calls.iter().map(|call| block_on(host.call(context, call.into()))).collect()
}

/// The short one, which has to be possible.
fn quickly(host: &Host, context: &mut CallContext, calls: &Calls<'_>) -> Replies {
    calls.iter().map(|call| host.call_now(context, call).expect("it needs nobody to wait")).collect()
}

#[track_caller]
fn same(scope: SkillScope, calls: &Calls<'_>) -> Replies {
    let scope = Arc::new(scope);
    let mut replies = Vec::new();
    for journal in [Journal::OFF, Journal::record()] {
        let host = || Host::builder().memory(InMemory::new()).build();
        let context = || {
            let mut context = CallContext::new(scope.clone());
            context.journal = journal.clone();
            context
        };
        let (mut slow, mut quick) = (context(), context());
        replies = slowly(&host(), &mut slow, calls);
        assert_eq!(quickly(&host(), &mut quick, calls), replies);
        assert_eq!(quick.ledger, slow.ledger);
        assert_eq!(quick.journal.entries(), slow.journal.entries());
        assert_eq!(quick.journal.answered(), slow.journal.answered());
        assert_eq!((quick.log, quick.error_text, quick.last_failure), (slow.log, slow.error_text, slow.last_failure));
    }
    replies
}

#[test]
fn every_kind_of_call() {
    let mut granted = scope("skill", Grants::default());
    granted.grants.shared_memory.insert("team".parse().unwrap(), Access::Read);
    granted.config.insert("lang".into(), "en".into());
    granted.quota.keys = 2;
    let (value, long) = (b"value", vec![0; ceilings::VALUE + 1]);
    let long_key = "k".repeat(ceilings::KEY + 1);
    let line = "x".repeat(ceilings::LOG_LINE + 1);
    let set = |key, value| QuickCall::MemorySet { key, value };
    let get = |key| QuickCall::MemoryGet { key };
    let replies = same(
        granted,
        &vec![
            get("a"),
            set("a", value),
            get("a"),
            set("b", value),
            set("a", value),
            set("c", value),
            set("a", &long),
            set("", value),
            get(""),
            get(&long_key),
            get("@team/plan"),
            get("@other/plan"),
            get("@nonsense"),
            set("@team/plan", value),
            QuickCall::MemoryDelete { key: "a" },
            QuickCall::MemoryDelete { key: "a" },
            QuickCall::ConfigGet { key: "lang" },
            QuickCall::ConfigGet { key: "none" },
            QuickCall::Log { level: Level::Warn, message: &line },
            QuickCall::SetError { message: "what a pity" },
        ],
    );
    assert_eq!(replies[2], Ok(HostReply::Bytes(Bytes::from_static(value))));
    assert!(replies.iter().filter(|reply| **reply == Ok(HostReply::OK)).count() > 5);
}

#[test]
fn every_budget_that_runs_out() {
    let calls = vec![
        QuickCall::MemorySet { key: "key", value: b"0123456789" },
        QuickCall::MemoryGet { key: "key" },
        QuickCall::Log { level: Level::Info, message: "a line" },
    ];
    for resource in Resource::ALL {
        for amount in 0..30 {
            let mut scope = scope("skill", Grants::default());
            scope.budget = scope.budget.with(resource, amount);
            same(scope, &calls);
        }
    }
}

#[test]
fn what_may_wait_goes_the_long_way() {
    let quick = |host: &Host, journal: Journal| {
        let mut context = CallContext::new(Arc::new(scope("skill", Grants::default())));
        context.journal = journal;
        let answered = host.call_now(&mut context, &QuickCall::MemoryGet { key: "k" }).is_some();
        assert!(
            answered
                || *context.ledger.used()
                    == *CallContext::new(Arc::new(scope("skill", Grants::default()))).ledger.used()
        );
        answered
    };
    let immediate = Host::builder().memory(InMemory::new()).build();
    assert!(quick(&immediate, Journal::OFF));
    assert!(!quick(&immediate, Journal::record().traced()));
    let mut first = CallContext::new(Arc::new(scope("skill", Grants::default())));
    first.journal = Journal::record();
    block_on(immediate.call(&mut first, HostCall::MemoryGet { key: "k".into() })).unwrap();
    assert!(!quick(&immediate, first.journal.clone().again()));
    assert!(!quick(&immediate, Journal::replay(first.journal.into_entries())));
    assert!(!quick(&Host::default(), Journal::OFF));
}

/// A memory that panics.
struct Broken;

impl ImmediateMemory for Broken {
    fn get_now(&self, _: &Namespace, _: &str) -> Result<Option<Bytes>, BackendError> {
        panic!("no shelf")
    }

    fn set_now(&self, _: &Namespace, _: &str, _: Bytes, _: Quota) -> Result<(), BackendError> {
        panic!("no shelf")
    }

    fn delete_now(&self, _: &Namespace, _: &str) -> Result<bool, BackendError> {
        panic!("no shelf")
    }
}

#[async_trait]
impl MemoryBackend for Broken {
    fn immediate(&self) -> Option<&dyn ImmediateMemory> {
        Some(self)
    }

    async fn get(&self, namespace: &Namespace, key: &str) -> Result<Option<Bytes>, BackendError> {
        self.get_now(namespace, key)
    }

    async fn set(&self, namespace: &Namespace, key: &str, value: Bytes, quota: Quota) -> Result<(), BackendError> {
        self.set_now(namespace, key, value, quota)
    }

    async fn delete(&self, namespace: &Namespace, key: &str) -> Result<bool, BackendError> {
        self.delete_now(namespace, key)
    }

    async fn list(&self, _: &Namespace, _: &str, _: usize) -> Result<Vec<String>, BackendError> {
        panic!("no shelf")
    }
}

#[test]
fn a_backend_that_panics_is_an_error_of_its() {
    // Behind an `Arc` and a box, as integrators have them.
    let host = Host::builder().memory(Box::new(Arc::new(Broken))).build();
    let mut context = CallContext::new(Arc::new(scope("skill", Grants::default())));
    let calls = vec![
        QuickCall::MemoryGet { key: "k" },
        QuickCall::MemorySet { key: "k", value: b"v" },
        QuickCall::MemoryDelete { key: "k" },
    ];
    for reply in quickly(&host, &mut context, &calls) {
        assert!(matches!(reply, Ok(HostReply::Status(status)) if status.code() < 0), "{reply:?}");
        assert!(context.last_failure.take().is_none_or(|failure| failure.message.contains("no shelf")));
    }
}
