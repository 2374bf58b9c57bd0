//! Backends that do as a case says: what hostile skills find behind the host's calls, and hostile backends.

use std::future::pending;
use std::io;

use async_trait::async_trait;
use bytes::Bytes;
use cis_wasm_abi::ceilings;
use cis_wasm_host::{
    AiBackend, AiReply, AiRequest, BackendError, EgressClient, EgressPolicy, Host, InMemory, MemoryBackend, Namespace,
    Quota, RedbMemory, Secrets,
};

use crate::case::Case;
use crate::server::Servers;

/// The secret that nobody may see but the server it is for.
pub(crate) const CANARY: &str = "canary-that-must-not-sing";
/// The canary's name.
pub(crate) const CANARY_NAME: &str = "canary";

/// The host of a case. `folder` is where its memory goes, if that is a file.
pub(crate) fn host(case: &Case, servers: &Servers, folder: &std::path::Path) -> Result<Host, String> {
    let mut builder = Host::builder().secrets(Secrets::new().with(CANARY_NAME, CANARY));
    let full_of_keys = |count: usize| {
        let memory = InMemory::new();
        let namespace = Namespace::of_skill(&"hostile".parse().expect("a name"));
        let quota = Quota { keys: u64::MAX, bytes: u64::MAX };
        for index in 0..count {
            let key = format!("{index:0500}");
            pollster::block_on(memory.set(&namespace, &key, Bytes::new(), quota)).map_err(|error| error.to_string())?;
        }
        Ok::<_, String>(memory)
    };
    builder = match case.backends.memory.as_str() {
        "in-memory" => builder.memory(InMemory::new()),
        "redb" => builder.memory(RedbMemory::open(folder.join("memory.redb")).map_err(|error| error.to_string())?),
        "full-of-keys" => builder.memory(full_of_keys(10_000)?),
        "stalled" => builder.memory(Scripted::Stalled),
        "panicking" => builder.memory(Scripted::Panicking),
        "oversized" => builder.memory(Scripted::Oversized),
        other => return Err(format!("there is no memory `{other}`")),
    };
    builder = match case.backends.ai.as_str() {
        "none" => builder,
        "answers" => builder.ai(Model::Answers),
        "hung" => builder.ai(Scripted::Stalled),
        "panicking" => builder.ai(Scripted::Panicking),
        "oversized" => builder.ai(Scripted::Oversized),
        "greedy" => builder.ai(Model::Greedy),
        other => return Err(format!("there is no AI `{other}`")),
    };
    builder = match case.backends.http.as_str() {
        "none" => builder,
        "egress" => {
            let policy = EgressPolicy::deny_private().allow_host(&servers.allowed.authority());
            let policy = policy.map_err(|error| error.to_string())?;
            builder.http(EgressClient::new(policy).map_err(|error| error.to_string())?)
        }
        other => return Err(format!("there is no HTTP `{other}`")),
    };
    Ok(builder.build())
}

/// An AI that works.
enum Model {
    /// With ten tokens a prompt and ten a reply.
    Answers,
    /// With a bill beyond all bounds.
    Greedy,
}

#[async_trait]
impl AiBackend for Model {
    async fn chat(&self, _request: AiRequest) -> Result<AiReply, BackendError> {
        let tokens = match self {
            Model::Answers => 10,
            Model::Greedy => u64::MAX,
        };
        Ok(AiReply { text: "yes".into(), prompt_tokens: tokens, reply_tokens: tokens })
    }
}

/// A backend that means harm itself.
enum Scripted {
    /// Never answers.
    Stalled,
    /// Panics.
    Panicking,
    /// Answers with more than a call may carry.
    Oversized,
}

impl Scripted {
    async fn act<T>(&self, oversized: impl FnOnce() -> T) -> Result<T, BackendError> {
        match self {
            Scripted::Stalled => pending().await,
            Scripted::Panicking => panic!("the backend is on fire"),
            Scripted::Oversized => Ok(oversized()),
        }
    }
}

#[async_trait]
impl AiBackend for Scripted {
    async fn chat(&self, _request: AiRequest) -> Result<AiReply, BackendError> {
        let reply = || AiReply { text: "x".repeat(ceilings::REPLY + 1), prompt_tokens: 1, reply_tokens: 1 };
        self.act(reply).await
    }
}

#[async_trait]
impl MemoryBackend for Scripted {
    async fn get(&self, _namespace: &Namespace, _key: &str) -> Result<Option<Bytes>, BackendError> {
        self.act(|| Some(vec![0; ceilings::VALUE + 1].into())).await
    }

    async fn set(&self, _: &Namespace, _: &str, _: Bytes, _: Quota) -> Result<(), BackendError> {
        self.act(|| ()).await
    }

    async fn delete(&self, _namespace: &Namespace, _key: &str) -> Result<bool, BackendError> {
        self.act(|| true).await
    }

    async fn list(&self, _: &Namespace, _: &str, _: usize) -> Result<Vec<String>, BackendError> {
        self.act(|| (0..4_000).map(|index| format!("{index:0500}")).collect()).await
    }
}

/// The servers of a case, where it has HTTP.
pub(crate) fn servers() -> io::Result<Servers> {
    Servers::start()
}
