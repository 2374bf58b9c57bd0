//! What an integrator brings: the services behind the door.

mod ai;
mod error;
mod http;
mod memory;

pub use ai::{AiBackend, AiReply, AiRequest};
pub use error::{BackendError, BackendErrorKind};
pub use http::{HttpBackend, HttpRequest, HttpResponse};
pub use memory::{ImmediateMemory, MemoryBackend, Namespace, Quota};
