//! What this process holds: threads, open files, memory. Linux tells, and of allocations the allocator.

use std::fs;
use std::io;
use std::time::{Duration, Instant};

use crate::heap;

/// A count at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Census {
    pub(crate) threads: usize,
    pub(crate) files: usize,
    /// Resident memory: what is allocated, what was freed and is kept by the allocator, code, guests' memories.
    pub(crate) rss_kib: u64,
    /// What is allocated.
    pub(crate) heap_kib: u64,
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
        Ok(Census { threads, files, rss_kib: field("VmRSS:")?, heap_kib: heap::live() as u64 / 1024 })
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

    /// Fails when more is allocated than in `baseline`, and so much more.
    pub(crate) fn allocates(&self, baseline: &Census, slack_kib: u64, when: &str) -> Result<(), String> {
        if self.heap_kib > baseline.heap_kib + slack_kib {
            return Err(format!(
                "{when} there are {} KiB allocated where there were {}",
                self.heap_kib, baseline.heap_kib
            ));
        }
        Ok(())
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
        let Census { threads, files, rss_kib, heap_kib } = self;
        let mib = |kib: u64| kib as f64 / 1024.0;
        let (resident, allocated) = (mib(*rss_kib), mib(*heap_kib));
        write!(f, "{threads:3} threads, {files:3} files, {resident:7.1} MiB resident, {allocated:7.1} MiB allocated")
    }
}

/// How busy the processors have been since it was made, and whose doing that was.
pub(crate) struct Busy {
    total: u64,
    idle: u64,
    own: u64,
}

impl Busy {
    pub(crate) fn now() -> io::Result<Busy> {
        // Ticks of all processors: user, nice, system, idle, waiting for input and output, and more.
        let stat = fs::read_to_string("/proc/stat")?;
        let ticks: Vec<u64> =
            stat.lines().next().unwrap_or("").split_whitespace().skip(1).filter_map(|tick| tick.parse().ok()).collect();
        let own = fs::read_to_string("/proc/self/stat")?;
        // Behind the name, which is in brackets and may hold anything: the 12th and 13th fields are user and system time.
        let own = own.rsplit(')').next().unwrap_or("").split_whitespace();
        let own = own.skip(11).take(2).filter_map(|tick| tick.parse::<u64>().ok()).sum();
        // The last two, time given to guests of this machine's own, stand among the first as well.
        Ok(Busy { total: ticks.iter().take(8).sum(), idle: ticks.iter().skip(3).take(2).sum(), own })
    }

    /// Whose the processors' time was, in a line. Times mean something only as far as nobody else was busy.
    pub(crate) fn line(&self) -> io::Result<String> {
        let now = Busy::now()?;
        let total = (now.total - self.total).max(1) as f64;
        let (idle, own) = ((now.idle - self.idle) as f64, (now.own - self.own) as f64);
        let others = (total - idle - own).max(0.0);
        let percent = |share: f64| share / total * 100.0;
        Ok(format!(
            "of all processors' time this process had {:.0} %, everything else {:.0} %",
            percent(own),
            percent(others)
        ))
    }
}
