//! How much memory a process holds, and has held at most. Linux says it; elsewhere nothing is known.

/// What this process holds at present, in KiB. From here on, [`peak_kib`] is measured anew.
pub(crate) fn start_measuring() -> Option<u64> {
    // "5" sets the peak to the present. Where that is not allowed, the peak so far counts, which is no less.
    let reset = std::fs::write("/proc/self/clear_refs", "5").is_ok();
    field("self", if reset { "VmRSS" } else { "VmHWM" })
}

/// The most that this process has held, in KiB.
pub(crate) fn peak_kib() -> Option<u64> {
    field("self", "VmHWM")
}

/// What another process holds at present, in KiB.
pub(crate) fn held_by_kib(process: u32) -> Option<u64> {
    field(&process.to_string(), "VmRSS")
}

fn field(process: &str, name: &str) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    line.trim().strip_suffix("kB")?.trim().parse().ok()
}
