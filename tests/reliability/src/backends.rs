//! Backends that do what a key, a prompt or a URL says: `MANNER/REST`.

use std::future::{Future, poll_fn};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;
use std::thread;
use std::time::Duration;

use cis_skill::{
    AiBackend, AiReply, AiRequest, BackendError, BackendErrorKind, Bytes, EgressClient, HttpBackend, HttpRequest,
    HttpResponse, InMemory, MemoryBackend, Namespace, Quota, async_trait,
};

/// How a backend behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Manner {
    /// As it should.
    Well,
    /// As it should, after a while, woken by another thread.
    Slowly,
    /// It fails, in the way of this error.
    Failing(BackendErrorKind),
    /// It never answers.
    Stalling,
    /// It panics at once.
    Panicking,
    /// It panics after a while.
    PanickingLate,
    /// It answers with nonsense.
    Garbage,
    /// It answers with more than anybody may.
    TooMuch,
}

/// Every manner, with its name and what a call then ends with: `ok` or an error's code.
pub(crate) const MANNERS: [(&str, Manner, &str); 14] = {
    use BackendErrorKind as Kind;
    use Manner::*;
    [
        ("well", Well, "ok"),
        ("slowly", Slowly, "ok"),
        ("denied", Failing(Kind::Denied), "denied"),
        ("failed", Failing(Kind::Failed), "backend_failed"),
        ("invalid", Failing(Kind::InvalidRequest), "invalid_argument"),
        ("quota", Failing(Kind::QuotaExceeded), "quota_exceeded"),
        ("late", Failing(Kind::TimedOut), "timed_out"),
        ("large", Failing(Kind::TooLarge), "too_large"),
        ("upstream", Failing(Kind::Upstream), "upstream_error"),
        ("stall", Stalling, "deadline_exceeded"),
        ("panic", Panicking, "backend_failed"),
        ("panic-late", PanickingLate, "backend_failed"),
        ("garbage", Garbage, "ok"),
        ("too-much", TooMuch, "too_large"),
    ]
};

fn manner_of(text: &str) -> Manner {
    let name = text.split('/').next().unwrap_or("");
    MANNERS.iter().find(|(known, ..)| *known == name).map_or(Manner::Well, |(_, manner, _)| *manner)
}

/// What an answer is to be.
enum Answer {
    Good,
    Garbage,
    TooMuch,
}

/// Behaves, up to the answer.
async fn behave(text: &str) -> Result<Answer, BackendError> {
    Ok(match manner_of(text) {
        Manner::Well => Answer::Good,
        Manner::Slowly => {
            a_while().await;
            Answer::Good
        }
        Manner::Failing(kind) => return Err(BackendError::new(kind, "as it was told")),
        Manner::Stalling => std::future::pending().await,
        Manner::Panicking => panic!("as it was told"),
        Manner::PanickingLate => {
            a_while().await;
            panic!("as it was told, late")
        }
        Manner::Garbage => Answer::Garbage,
        Manner::TooMuch => Answer::TooMuch,
    })
}

/// Pending, until another thread wakes it.
fn a_while() -> impl Future<Output = ()> + Send {
    let mut over: Option<Arc<AtomicBool>> = None;
    poll_fn(move |context| {
        let over = over.get_or_insert_with(|| {
            let (over, waker) = (Arc::new(AtomicBool::new(false)), context.waker().clone());
            let theirs = over.clone();
            thread::spawn(move || {
                thread::sleep(Duration::from_millis(1));
                theirs.store(true, Ordering::SeqCst);
                waker.wake();
            });
            over
        });
        if over.load(Ordering::SeqCst) { Poll::Ready(()) } else { Poll::Pending }
    })
}

/// Nine mebibytes, one more than any answer may have.
const TOO_MUCH: usize = 9 << 20;

/// Not UTF-8, with every byte there is.
fn garbage() -> Vec<u8> {
    (0..=255).rev().collect()
}

/// A memory.
#[derive(Default)]
pub(crate) struct Memory {
    good: InMemory,
}

#[async_trait]
impl MemoryBackend for Memory {
    async fn get(&self, namespace: &Namespace, key: &str) -> Result<Option<Bytes>, BackendError> {
        match behave(key).await? {
            Answer::Good => self.good.get(namespace, key).await,
            Answer::Garbage => Ok(Some(garbage().into())),
            Answer::TooMuch => Ok(Some(vec![7; TOO_MUCH].into())),
        }
    }

    async fn set(&self, namespace: &Namespace, key: &str, value: Bytes, quota: Quota) -> Result<(), BackendError> {
        behave(key).await?;
        self.good.set(namespace, key, value, quota).await
    }

    async fn delete(&self, namespace: &Namespace, key: &str) -> Result<bool, BackendError> {
        behave(key).await?;
        self.good.delete(namespace, key).await
    }

    async fn list(&self, namespace: &Namespace, prefix: &str, max_bytes: usize) -> Result<Vec<String>, BackendError> {
        match behave(prefix).await? {
            Answer::Good => self.good.list(namespace, prefix, max_bytes).await,
            // Out of order, not below the prefix, empty, twice.
            Answer::Garbage => Ok(["z", "", "a\0b", "\u{10FFFF}", "z", "../../x"].map(str::to_owned).to_vec()),
            Answer::TooMuch => Ok(vec!["k".repeat(500); 10_000]),
        }
    }
}

/// An AI.
pub(crate) struct Ai;

#[async_trait]
impl AiBackend for Ai {
    async fn chat(&self, request: AiRequest) -> Result<AiReply, BackendError> {
        Ok(match behave(&request.prompt).await? {
            Answer::Good => AiReply { text: request.prompt, prompt_tokens: 3, reply_tokens: 3 },
            Answer::Garbage => {
                AiReply { text: "\0\u{FFFE}\u{202E}".into(), prompt_tokens: u64::MAX, reply_tokens: u64::MAX }
            }
            Answer::TooMuch => AiReply { text: "x".repeat(TOO_MUCH), prompt_tokens: 0, reply_tokens: 0 },
        })
    }
}

/// HTTP: `made-up` hosts are answered here, all others by a real client.
pub(crate) struct Http {
    pub(crate) client: EgressClient,
}

#[async_trait]
impl HttpBackend for Http {
    async fn post(&self, request: HttpRequest) -> Result<HttpResponse, BackendError> {
        if request.url.host_str() != Some("made-up") {
            return self.client.post(request).await;
        }
        let response = |status, body, requests| HttpResponse { status, body, requests };
        Ok(match behave(request.url.path().trim_start_matches('/')).await? {
            Answer::Good => response(200, request.body, 1),
            Answer::Garbage => response(299, garbage().into(), u64::MAX),
            Answer::TooMuch => response(200, vec![7; TOO_MUCH].into(), 0),
        })
    }
}
