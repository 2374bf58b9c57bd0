//! Backends that do what a test tells them, and count how often they were asked.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use cis_wasm_host::{
    AiBackend, AiReply, AiRequest, BackendError, HttpBackend, HttpRequest, HttpResponse, MemoryBackend, Namespace,
    Quota,
};

/// How often a backend was asked.
#[derive(Clone, Debug, Default)]
pub struct Asked(Arc<AtomicUsize>);

impl Asked {
    pub fn times(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }

    fn once_more(&self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

/// An AI that is a function.
pub struct Ai<F> {
    pub asked: Asked,
    pub answer: F,
}

#[async_trait]
impl<F: Fn(AiRequest) -> Result<AiReply, BackendError> + Send + Sync + 'static> AiBackend for Ai<F> {
    async fn chat(&self, request: AiRequest) -> Result<AiReply, BackendError> {
        self.asked.once_more();
        (self.answer)(request)
    }
}

/// An HTTP backend that is a function.
pub struct Http<F> {
    pub asked: Asked,
    pub answer: F,
}

#[async_trait]
impl<F: Fn(HttpRequest) -> Result<HttpResponse, BackendError> + Send + Sync + 'static> HttpBackend for Http<F> {
    async fn post(&self, request: HttpRequest) -> Result<HttpResponse, BackendError> {
        self.asked.once_more();
        (self.answer)(request)
    }
}

/// A memory that answers every call with the same.
pub struct Memory<F> {
    pub asked: Asked,
    pub answer: F,
}

#[async_trait]
impl<F: Fn() -> Result<Bytes, BackendError> + Send + Sync + 'static> MemoryBackend for Memory<F> {
    async fn get(&self, _: &Namespace, _: &str) -> Result<Option<Bytes>, BackendError> {
        self.asked.once_more();
        (self.answer)().map(Some)
    }

    async fn set(&self, _: &Namespace, _: &str, _: Bytes, _: Quota) -> Result<(), BackendError> {
        self.asked.once_more();
        (self.answer)().map(|_| ())
    }

    async fn delete(&self, _: &Namespace, _: &str) -> Result<bool, BackendError> {
        self.asked.once_more();
        (self.answer)().map(|_| true)
    }

    async fn list(&self, _: &Namespace, _: &str, _: usize) -> Result<Vec<String>, BackendError> {
        self.asked.once_more();
        (self.answer)().map(|bytes| vec![String::from_utf8(bytes.to_vec()).unwrap()])
    }
}
