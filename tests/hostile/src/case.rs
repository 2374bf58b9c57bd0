//! A case: a file with a header.

use std::fmt;
use std::path::Path;
use std::time::Duration;

use cis_wasm_host::unwired::Limit;
use cis_wasm_host::{Access, Amounts, Quota, Resource};
use cis_wasm_runtime::{Compiler, Limits, State};

/// An attack, and how it has to end.
///
/// The header is the comment lines at the top of the file, each `key: value`:
///
/// | key | value |
/// |---|---|
/// | `class` | what is attacked, in a few words; required |
/// | `what` | what the guest does, in one line; required |
/// | `expect` | how each event ends, in order: `ok` or an error's code; `a\|b` where either will do. `ok` when absent |
/// | `expect_load` | the code with which loading is refused; there are no events then |
/// | `repeat` | how many events are sent, each with its number from 0 as data; `expect` then holds for each |
/// | `shutdown` | with what `skill_shutdown` ends; it is run at the end then |
/// | `unwires` | the limit without which the case must not be held |
/// | `state` | `fresh` (default) or `kept` |
/// | `via` | `run` (default): on the calling thread; `handle`: on a worker |
/// | `event`, `data`, `data_bytes` | the event's type, its data as text, or that many bytes of zeros |
/// | `memory_kib`, `tables`, `fuel`, `deadline_ms` | the engine's limits |
/// | `budget`, `quota` | `name=amount` pairs |
/// | `grants` | `ai`, `http`, `secret`, `read-memory`, `no-memory` |
/// | `memory`, `ai`, `http` | what stands behind the calls, see [`Backends`] |
/// | `generate` | the name of a generator, and its numbers, in place of a body |
/// | `compilers` | the names of the compilers it is for, where it is not for all |
/// | `Invariant` | what makes the unsafe code of a Rust guest sound; for readers |
/// | `seconds` | how long the process may take, for cases that compile much |
///
/// In `data`, `{allowed}` and `{private}` are the addresses of two servers on loopback. The egress policy allows the
/// first.
#[derive(Clone, Debug)]
pub struct Case {
    /// The file's name without its ending.
    pub name: String,
    /// What is attacked.
    pub class: String,
    /// What the guest does.
    pub what: String,
    /// The guest.
    pub source: Source,
    /// How it has to end.
    pub expected: Expected,
    /// The limits without which the case must not be held.
    pub unwires: Vec<Limit>,
    /// What becomes of the skill's memory between events.
    pub state: State,
    /// Whether events go to a worker.
    pub on_worker: bool,
    /// The events' type.
    pub event: String,
    /// The events' data.
    pub data: Vec<u8>,
    /// The engine's limits.
    pub limits: Limits,
    /// The budget of an event.
    pub budget: Amounts,
    /// What the skill may store.
    pub quota: Quota,
    /// What is granted.
    pub grants: Granted,
    /// What stands behind the host's calls.
    pub backends: Backends,
    /// The compilers it is for.
    pub compilers: Vec<Compiler>,
    /// How long the process may take.
    pub patience: Duration,
}

/// How a case has to end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expected {
    /// Loading is refused with this code.
    Refused(String),
    /// The skill loads, and its events end like this. A step holds every ending that will do.
    Events {
        /// The endings, in order.
        steps: Vec<Vec<String>>,
        /// How `skill_shutdown` ends, if it is run.
        shutdown: Option<String>,
    },
}

/// What a case grants its skill.
#[derive(Clone, Copy, Debug, Default)]
pub struct Granted {
    /// Its own memory.
    pub memory: Access,
    /// The AI.
    pub ai: bool,
    /// HTTP to both servers.
    pub http: bool,
    /// A secret for the server that is allowed.
    pub secret: bool,
}

/// What stands behind the host's calls, by name.
///
/// `memory`: `in-memory` (default), `redb`, `full-of-keys`, `stalled`, `panicking`, `oversized`. `ai`: `none` (default),
/// `answers`, `hung`, `panicking`, `oversized`, `greedy`. `http`: `none` (default), `egress` (the real client).
#[derive(Clone, Debug)]
pub struct Backends {
    /// Where memory lives.
    pub memory: String,
    /// Who answers prompts.
    pub ai: String,
    /// What sends requests.
    pub http: String,
}

/// What a guest is made from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// The text format.
    Wat(String),
    /// C, for clang.
    C(String),
    /// Rust, for `rustc` alone: `no_std`, no crates.
    Rust(String),
    /// A generator and its numbers.
    Generated(String, Vec<u64>),
}

/// What is wrong with a case's header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CaseError {
    file: String,
    why: String,
}

impl fmt::Display for CaseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.file, self.why)
    }
}

impl std::error::Error for CaseError {}

impl Case {
    /// Reads every case of a folder, in order of their names.
    ///
    /// # Errors
    ///
    /// When a file cannot be read or is not a case.
    pub fn all(folder: &Path) -> Result<Vec<Case>, CaseError> {
        let fail = |path: &Path, error: &dyn fmt::Display| CaseError {
            file: path.display().to_string(),
            why: error.to_string(),
        };
        let entries = std::fs::read_dir(folder).map_err(|error| fail(folder, &error))?;
        let mut paths = Vec::new();
        for entry in entries {
            paths.push(entry.map_err(|error| fail(folder, &error))?.path());
        }
        paths.sort();
        paths
            .iter()
            .map(|path| {
                let text = std::fs::read_to_string(path).map_err(|error| fail(path, &error))?;
                let name = path.file_name().unwrap_or_default().to_string_lossy();
                Case::parse(&name, &text)
            })
            .collect()
    }

    /// Reads one case: the file's name and its text.
    ///
    /// # Errors
    ///
    /// When the header is not one.
    pub fn parse(file: &str, text: &str) -> Result<Case, CaseError> {
        Header::of(file, text)
            .and_then(|header| header.case(file, text))
            .map_err(|why| CaseError { file: file.into(), why })
    }
}

/// The lines of a header.
struct Header<'t> {
    entries: Vec<(&'t str, &'t str)>,
}

impl<'t> Header<'t> {
    fn of(file: &str, text: &'t str) -> Result<Self, String> {
        let mark = match file.rsplit_once('.') {
            Some((_, "wat")) => ";;",
            Some((_, "rs")) => "//!",
            _ => "//",
        };
        let mut entries: Vec<(&str, &str)> = Vec::new();
        for line in text.lines().map_while(|line| line.strip_prefix(mark)) {
            let (key, value) = line.split_once(':').ok_or_else(|| format!("`{line}` is not `key: value`"))?;
            let key = key.trim();
            if entries.iter().any(|(known, _)| *known == key) {
                return Err(format!("`{key}` stands there twice"));
            }
            entries.push((key, value.trim()));
        }
        Ok(Header { entries })
    }

    fn take(&mut self, key: &str) -> Option<&'t str> {
        let index = self.entries.iter().position(|(known, _)| *known == key)?;
        Some(self.entries.remove(index).1)
    }

    fn number(&mut self, key: &str) -> Result<Option<u64>, String> {
        self.take(key).map(|value| parse_number(key, value)).transpose()
    }

    fn case(mut self, file: &str, text: &str) -> Result<Case, String> {
        let (name, ending) = file.rsplit_once('.').ok_or("it has no ending")?;
        let mut required = |key| self.take(key).map(str::to_owned).ok_or_else(|| format!("`{key}` is missing"));
        let (class, what) = (required("class")?, required("what")?);
        let source = match (self.take("generate"), ending) {
            (Some(generate), _) => {
                let mut words = generate.split_whitespace();
                let generator = words.next().ok_or("`generate` names no generator")?;
                let numbers = words.map(|word| parse_number("generate", word)).collect::<Result<_, _>>()?;
                Source::Generated(generator.to_owned(), numbers)
            }
            (None, "wat") => Source::Wat(text.to_owned()),
            (None, "c") => Source::C(text.to_owned()),
            (None, "rs") => Source::Rust(text.to_owned()),
            (None, other) => return Err(format!("nobody builds a `.{other}`")),
        };
        let defaults = Limits::default();
        let limits = Limits {
            memory_bytes: self.number("memory_kib")?.map_or(4 << 20, |kib| kib << 10),
            table_elements: self.number("tables")?.map_or(defaults.table_elements, |tables| tables as u32),
            fuel: self.number("fuel")?.unwrap_or(defaults.fuel),
            deadline: self.number("deadline_ms")?.map_or(defaults.deadline, Duration::from_millis),
        };
        let mut budget = Amounts::DEFAULT_LIMITS;
        for (resource, amount) in pairs(self.take("budget").unwrap_or_default())? {
            let resource = Resource::from_name(resource).ok_or_else(|| format!("there is no budget `{resource}`"))?;
            budget = budget.with(resource, amount);
        }
        let mut quota = Quota::default();
        for (name, amount) in pairs(self.take("quota").unwrap_or_default())? {
            match name {
                "keys" => quota.keys = amount,
                "bytes" => quota.bytes = amount,
                _ => return Err(format!("there is no quota `{name}`")),
            }
        }
        let backends = Backends {
            memory: self.take("memory").unwrap_or("in-memory").to_owned(),
            ai: self.take("ai").unwrap_or("none").to_owned(),
            http: self.take("http").unwrap_or("none").to_owned(),
        };
        let data = match (self.take("data"), self.number("data_bytes")?) {
            (Some(data), None) => data.as_bytes().to_vec(),
            (None, Some(bytes)) => vec![0; bytes as usize],
            (None, None) => Vec::new(),
            (Some(_), Some(_)) => return Err("`data` and `data_bytes` exclude each other".into()),
        };
        let case = Case {
            name: name.to_owned(),
            class,
            what,
            source,
            expected: self.expected()?,
            unwires: self
                .take("unwires")
                .unwrap_or_default()
                .split_whitespace()
                .map(|name| Limit::from_name(name).ok_or_else(|| format!("there is no limit `{name}`")))
                .collect::<Result<_, _>>()?,
            state: match self.take("state") {
                None | Some("fresh") => State::Fresh,
                Some("kept") => State::Kept,
                Some(other) => return Err(format!("there is no state `{other}`")),
            },
            on_worker: match self.take("via") {
                None | Some("run") => false,
                Some("handle") => true,
                Some(other) => return Err(format!("events do not go `via: {other}`")),
            },
            event: self.take("event").unwrap_or("attack").to_owned(),
            data,
            limits,
            budget,
            quota,
            grants: granted(self.take("grants").unwrap_or_default())?,
            backends,
            compilers: match self.take("compilers") {
                None => Compiler::ALL.to_vec(),
                // One that this build does not have is none of its business.
                Some(names) => names.split_whitespace().flat_map(Compiler::from_name).collect(),
            },
            patience: Duration::from_secs(self.number("seconds")?.unwrap_or(20)),
        };
        self.take("Invariant");
        match self.entries.first() {
            None => Ok(case),
            Some((key, _)) => Err(format!("nobody knows the key `{key}`")),
        }
    }

    fn expected(&mut self) -> Result<Expected, String> {
        let (refused, expect) = (self.take("expect_load"), self.take("expect"));
        let (repeat, shutdown) = (self.number("repeat")?, self.take("shutdown").map(str::to_owned));
        if let Some(code) = refused {
            if expect.is_some() || repeat.is_some() || shutdown.is_some() {
                return Err("a skill that is refused has no events".into());
            }
            return Ok(Expected::Refused(code.to_owned()));
        }
        let either = |step: &str| step.split('|').map(str::to_owned).collect::<Vec<_>>();
        let mut steps: Vec<Vec<String>> = expect.unwrap_or("ok").split_whitespace().map(either).collect();
        if let Some(repeat) = repeat {
            let [step] = &steps[..] else { return Err("with `repeat`, one `expect` holds for each event".into()) };
            steps = vec![step.clone(); repeat as usize];
        }
        Ok(Expected::Events { steps, shutdown })
    }
}

fn parse_number(key: &str, value: &str) -> Result<u64, String> {
    value.replace('_', "").parse().map_err(|_| format!("`{key}`: `{value}` is not a number"))
}

fn pairs(text: &str) -> Result<Vec<(&str, u64)>, String> {
    text.split_whitespace()
        .map(|word| {
            let (name, amount) = word.split_once('=').ok_or_else(|| format!("`{word}` is not `name=amount`"))?;
            Ok((name, parse_number(name, amount)?))
        })
        .collect()
}

fn granted(text: &str) -> Result<Granted, String> {
    let mut grants = Granted::default();
    for word in text.split_whitespace() {
        match word {
            "ai" => grants.ai = true,
            "http" => grants.http = true,
            "secret" => grants.secret = true,
            "read-memory" => grants.memory = Access::Read,
            "no-memory" => grants.memory = Access::None,
            _ => return Err(format!("nothing is granted as `{word}`")),
        }
    }
    Ok(grants)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fails(header: &str, why: &str) {
        let error = Case::parse("a.wat", &format!(";; class: c\n;; what: w\n{header}\n(module)")).unwrap_err();
        assert!(error.to_string().contains(why), "{error}");
    }

    #[test]
    fn a_header_is_read() {
        let text = ";; class: c\n;; what: a: b\n;; expect: ok trap_unreachable|ok\n;; budget: log_lines=1_000\n\
            ;; unwires: log_lines\n;; state: kept\n(module)";
        let case = Case::parse("x.wat", text).unwrap();
        assert_eq!((case.what.as_str(), case.state), ("a: b", State::Kept));
        assert_eq!(case.budget.of(Resource::LogLines), 1_000);
        assert_eq!(case.unwires, [Limit::Budget(Resource::LogLines)]);
        let Expected::Events { steps, shutdown: None } = case.expected else { panic!("{:?}", case.expected) };
        assert_eq!(steps, [vec!["ok"], vec!["trap_unreachable", "ok"]]);
    }

    #[test]
    fn what_a_header_does_not_know_is_an_error() {
        fails(";; fule: 1", "`fule`");
        fails(";; fuel: much", "not a number");
        fails(";; budget: llamas=1", "llamas");
        fails(";; unwires: gravity", "gravity");
        fails(";; expect_load: x\n;; expect: y", "has no events");
        fails(";; class: twice", "twice");
        assert!(Case::parse("a.wat", "(module)").unwrap_err().to_string().contains("`class` is missing"));
    }
}
