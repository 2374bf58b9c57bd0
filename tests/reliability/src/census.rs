//! What this process holds: threads, open files, memory. Linux tells.

use std::fs;
use std::io;
use std::time::{Duration, Instant};

/// A count at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Census {
    pub(crate) threads: usize,
    pub(crate) files: usize,
    /// Resident memory.
    pub(crate) rss_kib: u64,
}

/// How long something that goes away by itself may take. Far longer than it does, so that only what stays is found.
const PATIENCE: Duration = Duration::from_secs(30);

impl Census {
    pub(crate) fn take() -> io::Result<Census> {
        let status = fs::read_to_string("/proc/self/status")?;
        let field = |name: &str| -> io::Result<u64> {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            let number = line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok());
            number.ok_or_else(|| io::Error::other(format!("/proc/self/status has no {name}")))
        };
        // The directory that is being read is one of the files.
        let files = fs::read_dir("/proc/self/fd")?.count() - 1;
        let threads = usize::try_from(field("Threads:")?).unwrap_or(usize::MAX);
        Ok(Census { threads, files, rss_kib: field("VmRSS:")? })
    }

    /// A count once threads and files have stopped changing: what is on its way out has gone.
    pub(crate) fn quiet() -> io::Result<Census> {
        let begin = Instant::now();
        let mut last = Census::take()?;
        loop {
            std::thread::sleep(Duration::from_millis(50));
            let now = Census::take()?;
            if (now.threads, now.files) == (last.threads, last.files) || begin.elapsed() > PATIENCE {
                return Ok(now);
            }
            last = now;
        }
    }

    /// A count as soon as there are no more threads and files than in `baseline`, or else after a long while.
    pub(crate) fn settled(baseline: &Census) -> io::Result<Census> {
        let begin = Instant::now();
        loop {
            let now = Census::take()?;
            if (now.threads <= baseline.threads && now.files <= baseline.files) || begin.elapsed() > PATIENCE {
                return Ok(now);
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Fails when there are more threads or files than in `baseline`.
    pub(crate) fn within(&self, baseline: &Census, when: &str) -> Result<(), String> {
        if self.threads > baseline.threads || self.files > baseline.files {
            return Err(format!(
                "{when} there are {} threads and {} files where there were {} and {}; the threads are {:?}",
                self.threads,
                self.files,
                baseline.threads,
                baseline.files,
                thread_names()
            ));
        }
        Ok(())
    }
}

/// The names of this process's threads, as far as they can be read.
fn thread_names() -> Vec<String> {
    let tasks = fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    let name = |task: fs::DirEntry| fs::read_to_string(task.path().join("comm")).ok();
    tasks.filter_map(name).map(|name| name.trim_end().to_owned()).collect()
}

impl std::fmt::Display for Census {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Census { threads, files, rss_kib } = self;
        write!(f, "{threads:3} threads, {files:3} files, {:7.1} MiB", *rss_kib as f64 / 1024.0)
    }
}
