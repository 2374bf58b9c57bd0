//! The machine that measures, and what it is doing besides.

use std::fs::read_to_string;

use serde::{Deserialize, Serialize};

/// What figures have to be read with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Machine {
    pub(crate) processor: String,
    pub(crate) cores: usize,
    pub(crate) kernel: String,
    /// Whether wasmtime could use `PAGEMAP_SCAN`.
    pub(crate) pagemap_scan: bool,
}

impl Machine {
    pub(crate) fn this() -> Self {
        let about = read_to_string("/proc/cpuinfo").unwrap_or_default();
        let model = about.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':'));
        let kernel = read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
        Machine {
            processor: model.map_or_else(|| std::env::consts::ARCH.to_owned(), |(_, name)| name.trim().to_owned()),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            kernel: format!("{} {}", std::env::consts::OS, kernel.trim().split('-').next().unwrap_or_default()),
            pagemap_scan: crate::engine::pagemap_scan(),
        }
    }
}

/// Runnable threads of the whole machine, on average over the last minute. 0 where nobody says.
pub(crate) fn load() -> f64 {
    let text = read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').next().and_then(|first| first.parse().ok()).unwrap_or(0.0)
}

/// Bytes of this process that are in memory, and its threads.
pub(crate) fn resident() -> (u64, u64) {
    let text = read_to_string("/proc/self/status").unwrap_or_default();
    let number = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
        line.split_whitespace().next().and_then(|number| number.parse::<u64>().ok()).unwrap_or(0)
    };
    (number("VmRSS:") << 10, number("Threads:"))
}
