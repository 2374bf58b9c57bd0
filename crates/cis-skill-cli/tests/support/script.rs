//! Services that answer from a script, and keep what they were asked.

use std::collections::{BTreeMap, VecDeque};
use std::future::poll_fn;
use std::sync::{Arc, Mutex};
use std::task::Poll;

use cis_skill::host::BackendErrorKind;
use cis_skill::{
    AiBackend, AiReply, AiRequest, BackendError, Bytes, Host, HttpBackend, HttpRequest, HttpResponse, InMemory,
    MemoryBackend, Namespace, Quota, SkillName, async_trait,
};
use cis_skill_sdk::native::cases::{CaseHost, CaseReply};
use pollster::block_on;

/// The services of a case, as the case says they are at its beginning.
pub(crate) struct Stage {
    pub(crate) host: Host,
    memory: Arc<InMemory>,
    /// The skill's own namespace first.
    namespaces: Vec<(String, Namespace)>,
    prompts: Arc<Mutex<Vec<String>>>,
    requests: Arc<Mutex<Vec<(String, String)>>>,
}

impl Stage {
    /// Services that answer at once, or, when they are `late`, not before they are polled again.
    pub(crate) fn of(case: &CaseHost, skill: &SkillName, late: bool) -> Stage {
        let mut namespaces = vec![(String::new(), Namespace::of_skill(skill))];
        let shared = case.memory.keys().filter_map(|key| Some(key.strip_prefix('@')?.split_once('/')?.0));
        for name in case.grants.shared_memory.keys().map(String::as_str).chain(shared) {
            let namespace = (format!("@{name}/"), Namespace::shared(&name.parse().unwrap()));
            if !namespaces.contains(&namespace) {
                namespaces.push(namespace);
            }
        }
        let memory = Arc::new(InMemory::new());
        for (key, value) in &case.memory {
            let mut places = namespaces.iter().rev();
            let (prefix, namespace) = places.find(|(prefix, _)| key.starts_with(prefix)).expect("the own one has none");
            let value = Bytes::from(value.clone());
            block_on(memory.set(namespace, &key[prefix.len()..], value, Quota::default())).unwrap();
        }
        let (prompts, requests) = (Arc::default(), Arc::default());
        let mut host = Host::builder().memory(Shared { memory: memory.clone(), late });
        if let Some(replies) = &case.ai {
            host = host.ai(ScriptedAi { replies: Script::of(replies), prompts: Arc::clone(&prompts), late });
        }
        if let Some(replies) = &case.http {
            host = host.http(ScriptedHttp { replies: Script::of(replies), requests: Arc::clone(&requests), late });
        }
        Stage { host: host.build(), memory, namespaces, prompts, requests }
    }

    /// Everything in memory, keys as the skill writes them.
    pub(crate) fn memory(&self) -> BTreeMap<String, String> {
        let mut all = BTreeMap::new();
        for (prefix, namespace) in &self.namespaces {
            for key in block_on(self.memory.list(namespace, "", usize::MAX)).unwrap() {
                let value = block_on(self.memory.get(namespace, &key)).unwrap().expect("a key that is listed is there");
                all.insert(format!("{prefix}{key}"), String::from_utf8_lossy(&value).into_owned());
            }
        }
        all
    }

    /// Everything the AI was asked.
    pub(crate) fn prompts(&self) -> Vec<String> {
        self.prompts.lock().unwrap().clone()
    }

    /// Every request, as URL and body.
    pub(crate) fn requests(&self) -> Vec<(String, String)> {
        self.requests.lock().unwrap().clone()
    }
}

/// Replies in order. Being asked for one too many fails the case.
struct Script(Mutex<VecDeque<CaseReply>>);

impl Script {
    fn of(replies: &[CaseReply]) -> Script {
        Script(Mutex::new(replies.iter().cloned().collect()))
    }

    fn next(&self) -> CaseReply {
        self.0.lock().unwrap().pop_front().expect("the case scripts every reply")
    }
}

/// The failure whose status has this name.
fn failure(name: &str) -> BackendError {
    let kinds = [
        BackendErrorKind::Denied,
        BackendErrorKind::Failed,
        BackendErrorKind::InvalidRequest,
        BackendErrorKind::QuotaExceeded,
        BackendErrorKind::TimedOut,
        BackendErrorKind::TooLarge,
        BackendErrorKind::Upstream,
    ];
    let kind = kinds.into_iter().find(|kind| kind.status().name() == name);
    BackendError::new(kind.unwrap_or_else(|| panic!("no backend fails with `{name}`")), "as the case says")
}

struct ScriptedAi {
    replies: Script,
    prompts: Arc<Mutex<Vec<String>>>,
    late: bool,
}

/// Ready when it is polled the second time, if it is late.
async fn later(late: bool) {
    let mut ready = !late;
    poll_fn(|context| match std::mem::replace(&mut ready, true) {
        true => Poll::Ready(()),
        false => {
            context.waker().wake_by_ref();
            Poll::Pending
        }
    })
    .await;
}

#[async_trait]
impl AiBackend for ScriptedAi {
    async fn chat(&self, request: AiRequest) -> Result<AiReply, BackendError> {
        later(self.late).await;
        self.prompts.lock().unwrap().push(request.prompt);
        match self.replies.next() {
            CaseReply::Text(text) => Ok(AiReply { text, prompt_tokens: 1, reply_tokens: 1 }),
            CaseReply::Error(name) => Err(failure(&name)),
            CaseReply::Status(_) => panic!("an AI has no HTTP status: write `error`"),
        }
    }
}

struct ScriptedHttp {
    replies: Script,
    requests: Arc<Mutex<Vec<(String, String)>>>,
    late: bool,
}

#[async_trait]
impl HttpBackend for ScriptedHttp {
    async fn post(&self, request: HttpRequest) -> Result<HttpResponse, BackendError> {
        later(self.late).await;
        let body = String::from_utf8_lossy(&request.body).into_owned();
        self.requests.lock().unwrap().push((request.url.into(), body));
        let (status, body) = match self.replies.next() {
            CaseReply::Text(text) => (200, text.into()),
            CaseReply::Status(status) => (status, Bytes::new()),
            CaseReply::Error(name) => return Err(failure(&name)),
        };
        Ok(HttpResponse { status, body, requests: 1 })
    }
}

/// A memory that the test looks into too.
struct Shared {
    memory: Arc<InMemory>,
    late: bool,
}

#[async_trait]
impl MemoryBackend for Shared {
    async fn get(&self, namespace: &Namespace, key: &str) -> Result<Option<Bytes>, BackendError> {
        later(self.late).await;
        self.memory.get(namespace, key).await
    }

    async fn set(&self, namespace: &Namespace, key: &str, value: Bytes, quota: Quota) -> Result<(), BackendError> {
        later(self.late).await;
        self.memory.set(namespace, key, value, quota).await
    }

    async fn delete(&self, namespace: &Namespace, key: &str) -> Result<bool, BackendError> {
        later(self.late).await;
        self.memory.delete(namespace, key).await
    }

    async fn list(&self, namespace: &Namespace, prefix: &str, max_bytes: usize) -> Result<Vec<String>, BackendError> {
        later(self.late).await;
        self.memory.list(namespace, prefix, max_bytes).await
    }
}
