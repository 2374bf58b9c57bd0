//! A host whose backends answer from their requests alone, so that two runs are told the same.

use std::sync::{Arc, Mutex};
use std::task::Poll;

use async_trait::async_trait;
use bytes::Bytes;
use cis_wasm_host::{
    Access, AiBackend, AiReply, AiRequest, BackendError, BackendErrorKind, Grants, Host, HttpBackend, HttpGrant,
    HttpRequest, HttpResponse, InMemory, MemoryBackend, Namespace, Quota, SkillScope,
};

/// A host with every backend, and nothing stored.
pub(crate) fn host() -> Host {
    host_with(Store::default())
}

/// A host with every backend, that keeps what it is given in `store`.
pub(crate) fn host_with(store: Store) -> Host {
    Host::builder().memory(store).ai(Mirror).http(Mirror).build()
}

/// The same, where no backend answers at once: each has to be polled again.
pub(crate) fn late_host_with(store: Store) -> Host {
    Host::builder().memory(Late(store)).ai(Late(Mirror)).http(Late(Mirror)).build()
}

/// A memory that can be emptied, so that a skill need not be loaded again for it. Clones are the same memory.
#[derive(Clone, Default)]
pub(crate) struct Store {
    current: Arc<Mutex<Arc<InMemory>>>,
}

impl Store {
    /// Forgets everything.
    pub(crate) fn empty(&self) {
        *self.current.lock().expect("nobody panics with this lock") = Arc::default();
    }

    fn current(&self) -> Arc<InMemory> {
        self.current.lock().expect("nobody panics with this lock").clone()
    }
}

#[async_trait]
impl MemoryBackend for Store {
    async fn get(&self, namespace: &Namespace, key: &str) -> Result<Option<Bytes>, BackendError> {
        self.current().get(namespace, key).await
    }

    async fn set(&self, namespace: &Namespace, key: &str, value: Bytes, quota: Quota) -> Result<(), BackendError> {
        self.current().set(namespace, key, value, quota).await
    }

    async fn delete(&self, namespace: &Namespace, key: &str) -> Result<bool, BackendError> {
        self.current().delete(namespace, key).await
    }

    async fn list(&self, namespace: &Namespace, prefix: &str, max_bytes: usize) -> Result<Vec<String>, BackendError> {
        self.current().list(namespace, prefix, max_bytes).await
    }
}

/// A skill that is granted all there is.
pub(crate) fn granted() -> SkillScope {
    let mut scope = SkillScope::new("generated".parse().expect("it is a name"));
    let rule = "hooks.example.com".parse().expect("it is a rule");
    let team = "team".parse().expect("it is a name");
    scope.grants = Grants {
        shared_memory: [(team, Access::ReadWrite)].into(),
        ai: true,
        http: HttpGrant { rules: vec![rule] },
        ..Grants::default()
    };
    scope.config = [("a".to_owned(), serde_json::json!([1, "x"])), ("b".to_owned(), serde_json::json!(null))]
        .into_iter()
        .collect();
    scope
}

/// A skill that is granted nothing.
pub(crate) fn denied() -> SkillScope {
    let mut scope = SkillScope::new("generated".parse().expect("it is a name"));
    scope.grants.memory = Access::None;
    scope
}

/// Answers with what it was asked, or fails in the way the request says.
struct Mirror;

/// The failure that a text asks for.
fn failure(text: &str) -> Result<(), BackendError> {
    let kind = match text {
        "!denied" => BackendErrorKind::Denied,
        "!failed" => BackendErrorKind::Failed,
        "!timed out" => BackendErrorKind::TimedOut,
        "!too large" => BackendErrorKind::TooLarge,
        _ => return Ok(()),
    };
    Err(BackendError::new(kind, "as it was asked to"))
}

#[async_trait]
impl AiBackend for Mirror {
    async fn chat(&self, request: AiRequest) -> Result<AiReply, BackendError> {
        failure(&request.prompt)?;
        let text: String = request.prompt.chars().rev().collect();
        Ok(AiReply { prompt_tokens: text.len() as u64, reply_tokens: u64::from(request.max_reply_tokens.min(7)), text })
    }
}

#[async_trait]
impl HttpBackend for Mirror {
    async fn post(&self, request: HttpRequest) -> Result<HttpResponse, BackendError> {
        let path = request.url.path().trim_start_matches('/').to_owned();
        failure(&path.replace("%20", " "))?;
        let status = path.parse().unwrap_or(200);
        let mut body = request.body.to_vec();
        body.reverse();
        Ok(HttpResponse { status, body: Bytes::from(body), requests: 1 })
    }
}

/// A backend that is not ready when it is polled first.
struct Late<B>(B);

/// Ready the second time.
async fn later() {
    let mut polled = false;
    std::future::poll_fn(|context| match std::mem::replace(&mut polled, true) {
        true => Poll::Ready(()),
        false => {
            context.waker().wake_by_ref();
            Poll::Pending
        }
    })
    .await;
}

#[async_trait]
impl<B: MemoryBackend> MemoryBackend for Late<B> {
    async fn get(&self, namespace: &Namespace, key: &str) -> Result<Option<Bytes>, BackendError> {
        later().await;
        self.0.get(namespace, key).await
    }

    async fn set(&self, namespace: &Namespace, key: &str, value: Bytes, quota: Quota) -> Result<(), BackendError> {
        later().await;
        self.0.set(namespace, key, value, quota).await
    }

    async fn delete(&self, namespace: &Namespace, key: &str) -> Result<bool, BackendError> {
        later().await;
        self.0.delete(namespace, key).await
    }

    async fn list(&self, namespace: &Namespace, prefix: &str, max_bytes: usize) -> Result<Vec<String>, BackendError> {
        later().await;
        self.0.list(namespace, prefix, max_bytes).await
    }
}

#[async_trait]
impl<B: AiBackend> AiBackend for Late<B> {
    async fn chat(&self, request: AiRequest) -> Result<AiReply, BackendError> {
        later().await;
        self.0.chat(request).await
    }
}

#[async_trait]
impl<B: HttpBackend> HttpBackend for Late<B> {
    async fn post(&self, request: HttpRequest) -> Result<HttpResponse, BackendError> {
        later().await;
        self.0.post(request).await
    }
}
