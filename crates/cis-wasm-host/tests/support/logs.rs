//! Catches everything that this process logs, through `tracing` and through `log`, at every level.

use std::fmt::{self, Write};
use std::sync::{Mutex, MutexGuard, Once, PoisonError};

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

static LINES: Mutex<String> = Mutex::new(String::new());

fn lines() -> MutexGuard<'static, String> {
    LINES.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Begins to catch. May be called more than once.
pub fn catch() {
    static START: Once = Once::new();
    START.call_once(|| {
        tracing::subscriber::set_global_default(Catcher).unwrap();
        log::set_logger(&Catcher).unwrap();
        log::set_max_level(log::LevelFilter::Trace);
    });
}

/// Everything so far.
pub fn caught() -> String {
    lines().clone()
}

struct Catcher;

struct Line<'a>(&'a mut String);

impl Visit for Line<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        write!(self.0, " {field}={value:?}").unwrap();
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        write!(self.0, " {field}={value}").unwrap();
    }
}

impl Subscriber for Catcher {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, span: &Attributes<'_>) -> Id {
        let mut text = lines();
        text.push_str(span.metadata().name());
        span.record(&mut Line(&mut text));
        text.push('\n');
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, values: &Record<'_>) {
        let mut text = lines();
        values.record(&mut Line(&mut text));
        text.push('\n');
    }

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut text = lines();
        text.push_str(event.metadata().target());
        event.record(&mut Line(&mut text));
        text.push('\n');
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

impl log::Log for Catcher {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        // Formatted before the lock is taken: an argument may log.
        let line = format!("{} {}\n", record.target(), record.args());
        lines().push_str(&line);
    }

    fn flush(&self) {}
}
