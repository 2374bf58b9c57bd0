//! A skill that posts through the door and a real egress client.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::net::IpAddr;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bytes::Bytes;
use cis_wasm_abi::Status;
use cis_wasm_host::{
    CallContext, EgressClient, EgressPolicy, Grants, Host, HostCall, HostReply, HttpGrant, Resolver, SecretGrant,
    Secrets,
};

use super::{block_on, event};

/// A resolver that answers from a list, and counts.
#[derive(Clone, Default)]
pub struct Names {
    answers: Arc<Mutex<HashMap<String, VecDeque<Vec<IpAddr>>>>>,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Names {
    /// Answers a name with these, one after the other; the last one stays.
    pub fn answer(&self, name: &str, answers: impl IntoIterator<Item = Vec<IpAddr>>) {
        self.answers.lock().unwrap().insert(name.into(), answers.into_iter().collect());
    }

    /// The names that were asked for, in order.
    pub fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

#[async_trait]
impl Resolver for Names {
    async fn resolve(&self, host: &str) -> io::Result<Vec<IpAddr>> {
        self.asked.lock().unwrap().push(host.into());
        let mut answers = self.answers.lock().unwrap();
        let answers = answers.get_mut(host).ok_or(io::Error::new(io::ErrorKind::NotFound, "no such name"))?;
        if answers.len() > 1 { Ok(answers.pop_front().unwrap()) } else { Ok(answers[0].clone()) }
    }
}

/// A skill with a grant, its host, and what became of its calls.
pub struct Poster {
    pub host: Host,
    pub grants: Grants,
}

/// One call and what it left behind.
pub struct Posted {
    pub reply: HostReply,
    /// What the operator reads; empty when nothing failed.
    pub why: String,
    pub event: CallContext,
}

impl Poster {
    /// A skill that may post to these origins.
    pub fn new(policy: EgressPolicy, rules: &[&str]) -> Poster {
        Poster::with_client(EgressClient::new(policy).unwrap(), rules, Secrets::new(), Vec::new())
    }

    /// The same with a resolver of the test's.
    pub fn resolving(policy: EgressPolicy, names: &Names, rules: &[&str]) -> Poster {
        let client = EgressClient::with_resolver(policy, names.clone()).unwrap();
        Poster::with_client(client, rules, Secrets::new(), Vec::new())
    }

    pub fn with_client(client: EgressClient, rules: &[&str], secrets: Secrets, granted: Vec<SecretGrant>) -> Poster {
        let host = Host::builder().http(client).secrets(secrets).build();
        let rules = rules.iter().map(|rule| rule.parse().unwrap()).collect();
        Poster { host, grants: Grants { http: HttpGrant { rules }, secrets: granted, ..Grants::default() } }
    }

    /// One event with one POST.
    pub fn post(&self, url: &str, body: &[u8]) -> Posted {
        self.post_in(event("poster", self.grants.clone()), url, body)
    }

    /// One more POST of an event.
    pub fn post_in(&self, mut event: CallContext, url: &str, body: &[u8]) -> Posted {
        let call = HostCall::HttpPost { url: url.into(), body: Bytes::copy_from_slice(body) };
        let reply = block_on(self.host.call(&mut event, call)).unwrap();
        let why = event.last_failure.as_ref().map_or(String::new(), |failure| failure.message.clone());
        Posted { reply, why, event }
    }
}

impl Posted {
    #[track_caller]
    pub fn is(&self, body: &[u8]) {
        assert_eq!(self.reply, HostReply::Bytes(Bytes::copy_from_slice(body)), "{}", self.why);
    }

    #[track_caller]
    pub fn failed(&self, status: Status, why: &str) {
        assert_eq!(self.reply, HostReply::Status(status), "{}", self.why);
        assert!(self.why.contains(why), "`{}` does not say `{why}`", self.why);
    }
}
