//! Trying many cases, each in a process of its own, under a watch that ends it.

use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use cis_wasm_host::unwired::Limit;
use cis_wasm_runtime::Compiler;

use crate::case::Case;
use crate::memory_use;
use crate::verdict::{Trial, Verdict};

/// A process that holds so much more than its case may is ended before the machine suffers, in KiB.
const MOST_KIB: u64 = 512 << 10;

/// How long a process may take whose case has a limit out of service: it need not end by itself.
const UNWIRED_PATIENCE: Duration = Duration::from_secs(2);

/// What tries cases: the program of this crate, and its cases.
#[derive(Clone, Debug)]
pub struct Suite {
    /// The program.
    pub program: PathBuf,
    /// The cases' folder.
    pub folder: PathBuf,
    /// How many processes there may be at a time.
    pub jobs: usize,
}

/// One case to try.
#[derive(Clone, Debug)]
pub struct Job {
    /// The case.
    pub case: Case,
    /// On what.
    pub compiler: Compiler,
    /// The limit that is out of service, if one is.
    pub unwired: Option<Limit>,
}

/// One case that was tried.
#[derive(Clone, Debug)]
pub struct Tried {
    /// What was tried.
    pub job: Job,
    /// Whether it was held.
    pub verdict: Verdict,
    /// How it ended.
    pub ended: String,
    /// How far memory grew, in KiB.
    pub grown_kib: Option<u64>,
    /// How long the attack took, in milliseconds.
    pub took_ms: u64,
}

impl Job {
    /// Every case on every compiler of this build.
    pub fn all(cases: &[Case], unwired: Option<Limit>) -> Vec<Job> {
        let on = |case: &Case, compiler: &Compiler| Job { case: case.clone(), compiler: *compiler, unwired };
        cases.iter().flat_map(|case| case.compilers.iter().map(move |compiler| on(case, compiler))).collect()
    }

    /// The cases of every limit, with that limit out of service.
    pub fn unwired(cases: &[Case]) -> Vec<Job> {
        Limit::all()
            .flat_map(|limit| {
                let own: Vec<_> = cases.iter().filter(|case| case.unwires.contains(&limit)).cloned().collect();
                Job::all(&own, Some(limit))
            })
            .collect()
    }
}

impl Suite {
    /// Tries all of them, and calls `each` as they end.
    ///
    /// # Errors
    ///
    /// When a process cannot be started.
    pub fn run(&self, jobs: &[Job], each: impl Fn(&Tried) + Sync) -> io::Result<Vec<Tried>> {
        let (next, tried) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
        let work = || -> io::Result<()> {
            loop {
                let index = next.fetch_add(1, Ordering::Relaxed);
                let Some(job) = jobs.get(index) else { return Ok(()) };
                let result = self.try_one(job)?;
                each(&result);
                tried.lock().expect("no thread panics while it holds this").push((index, result));
            }
        };
        thread::scope(|scope| {
            let workers: Vec<_> = (0..self.jobs.max(1)).map(|_| scope.spawn(work)).collect();
            workers.into_iter().try_for_each(|worker| worker.join().expect("trying a case does not panic"))
        })?;
        let mut tried = tried.into_inner().expect("no thread panics while it holds this");
        tried.sort_by_key(|(index, _)| *index);
        Ok(tried.into_iter().map(|(_, tried)| tried).collect())
    }

    fn try_one(&self, job: &Job) -> io::Result<Tried> {
        let mut command = Command::new(&self.program);
        command.arg("--cases").arg(&self.folder).args(["--try", &job.case.name, "--compiler", job.compiler.name()]);
        if let Some(limit) = job.unwired {
            command.args(["--unwire", limit.name()]);
        }
        let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
        let watched = watch(child, job)?;
        let tried = |verdict, ended: String, trial: &Trial| Tried {
            job: job.clone(),
            verdict,
            ended,
            grown_kib: trial.grown_kib,
            took_ms: trial.took_ms,
        };
        Ok(match watched {
            Watched::Said(trial) => tried(Verdict::of(&job.case, &trial), trial.ended(), &trial),
            Watched::Died(how, stage) => {
                let why = format!("{how} at {stage}");
                tried(Verdict::Broken(vec![why]), how, &Trial::default())
            }
        })
    }
}

/// How a process ended.
enum Watched {
    /// With its word.
    Said(Box<Trial>),
    /// Without: how, and where.
    Died(String, String),
}

fn watch(mut child: Child, job: &Job) -> io::Result<Watched> {
    let stdout = reader(child.stdout.take());
    let stderr = reader(child.stderr.take());
    let patience = if job.unwired.is_some() { UNWIRED_PATIENCE } else { job.case.patience };
    let most = job.case.limits.memory_bytes / 1024 + MOST_KIB;
    let begun = Instant::now();
    let (status, killed) = loop {
        if let Some(status) = child.try_wait()? {
            break (status, None);
        }
        let held = memory_use::held_by_kib(child.id()).unwrap_or(0);
        let why = if begun.elapsed() > patience {
            Some("hung")
        } else if held > most {
            Some("took the machine's memory")
        } else {
            None
        };
        if why.is_some() {
            child.kill()?;
            break (child.wait()?, why);
        }
        thread::sleep(Duration::from_millis(5));
    };
    let (stdout, stderr) = (joined(stdout), joined(stderr));
    let stage = stderr.lines().rev().find_map(|line| line.strip_prefix("stage: ")).unwrap_or("the start").to_owned();
    let trial = stdout.lines().last().and_then(|line| serde_json::from_str(line).ok());
    Ok(match (killed, trial) {
        (Some(why), _) => Watched::Died(why.to_owned(), stage),
        (None, Some(trial)) if status.success() => Watched::Said(Box::new(trial)),
        (None, _) => {
            let last = stderr.lines().rev().find(|line| !line.starts_with("stage: ")).unwrap_or_default();
            Watched::Died(died_of(status), format!("{stage}: {last}"))
        }
    })
}

#[cfg(unix)]
fn died_of(status: ExitStatus) -> String {
    use std::os::unix::process::ExitStatusExt;
    match status.signal() {
        Some(signal) => format!("died of signal {signal}"),
        None => format!("died with {status}"),
    }
}

#[cfg(not(unix))]
fn died_of(status: ExitStatus) -> String {
    format!("died with {status}")
}

fn reader(stream: Option<impl Read + Send + 'static>) -> thread::JoinHandle<String> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut stream) = stream {
            // What was read before an error counts.
            let _ = stream.read_to_end(&mut bytes);
        }
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

fn joined(reader: thread::JoinHandle<String>) -> String {
    reader.join().unwrap_or_default()
}

/// The cases that come with this crate.
pub fn own_cases() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("cases")
}

/// A line for each case, and a closing line.
pub fn table(tried: &[Tried]) -> String {
    let head = ["class", "case", "compiler", "expected", "got", "MiB", "ms", ""].map(str::to_owned);
    let mut rows = vec![head];
    let (mut passed, mut failed, mut untried) = (0, 0, 0);
    for one in tried {
        let Job { case, compiler, unwired } = &one.job;
        let name = match unwired {
            Some(limit) => format!("{} without {}", case.name, limit.name()),
            None => case.name.clone(),
        };
        let held = match &one.verdict {
            Verdict::Held => {
                passed += 1;
                "held".to_owned()
            }
            Verdict::Untried(why) => {
                untried += 1;
                format!("NOT TRIED: {why}")
            }
            Verdict::Broken(why) => {
                failed += 1;
                format!("BROKEN: {}", why.join("; "))
            }
        };
        let grown = one.grown_kib.map_or_else(|| "-".to_owned(), |kib| kib.div_ceil(1024).to_string());
        let (expected, took) = (case.expected.shown(), one.took_ms.to_string());
        rows.push([
            case.class.clone(),
            name,
            compiler.name().to_owned(),
            expected,
            one.ended.clone(),
            grown,
            took,
            held,
        ]);
    }
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0).min(44);
    let widths: Vec<usize> = (0..7).map(width).collect();
    let mut text = String::new();
    for row in &rows {
        for (cell, width) in row.iter().zip(&widths) {
            let cell: String = cell.chars().take(44).collect();
            text += &format!("{cell:width$}  ");
        }
        text += &row[7];
        text += "\n";
    }
    let classes: std::collections::BTreeSet<_> = tried.iter().map(|one| &one.job.case.class).collect();
    text += &format!("\n{} classes of attack\n", classes.len());
    if untried > 0 {
        text += &format!("{untried} NOT TRIED for want of a tool\n");
    }
    if tried.iter().any(|one| one.job.unwired.is_some()) {
        let limits: std::collections::BTreeSet<_> =
            tried.iter().filter_map(|one| one.job.unwired?.name().into()).collect();
        return text
            + &format!("{} limits out of service: {failed} trials missed theirs, {passed} did not\n", limits.len());
    }
    text + &format!("{passed} passed, {failed} failed\n")
}

/// The cases that were not held, each with its reasons.
pub fn broken(tried: &[Tried]) -> Vec<String> {
    let reason = |one: &Tried| match &one.verdict {
        Verdict::Broken(why) => {
            Some(format!("{} on {}: {}", one.job.case.name, one.job.compiler.name(), why.join("; ")))
        }
        _ => None,
    };
    tried.iter().filter_map(reason).collect()
}

/// Of the trials with a limit out of service: what shows that a limit does not bite. Empty is good.
pub fn toothless(cases: &[Case], tried: &[Tried]) -> Vec<String> {
    let mut found = Vec::new();
    for limit in Limit::all() {
        if !cases.iter().any(|case| case.unwires.contains(&limit)) {
            found.push(format!("no case needs the limit {}", limit.name()));
        }
    }
    for one in tried {
        if let (Some(limit), Verdict::Held) = (one.job.unwired, &one.verdict) {
            let Job { case, compiler, .. } = &one.job;
            found.push(format!("{} is held on {} without {}", case.name, compiler.name(), limit.name()));
        }
    }
    found
}
