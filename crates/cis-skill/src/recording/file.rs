//! The recording as a file. `docs/journal.md` says the same byte by byte.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use cis_wasm_abi::{Level, Status, import};
use cis_wasm_host::{
    Amounts, CallTrace, JournalEntry, LogLine, Quota, RefusedCall, Resource, Rest, decode_journal, encode_journal,
};
use cis_wasm_runtime::{Limits, State};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json};

use super::{Ending, Failure, Parts, bad};
use crate::{Event, Result, SkillLimits};

/// The version of the format that is written. It reads this one and all before it.
const VERSION: u8 = 1;

/// What a recording begins with, before its version.
const MAGIC: &[u8; 4] = b"CISR";

/// The kinds of sections, in the order in which they stand in a file.
mod section {
    pub(super) const ABOUT: u8 = 1;
    pub(super) const MODULE: u8 = 2;
    pub(super) const EVENT_DATA: u8 = 3;
    pub(super) const INIT_JOURNAL: u8 = 4;
    pub(super) const EVENT_JOURNAL: u8 = 5;
    pub(super) const RESPONSE: u8 = 6;
}

/// Everything that is no bytes, as JSON.
#[derive(Serialize, Deserialize)]
struct About {
    skill: String,
    compiler: String,
    state: String,
    manifest: String,
    limits: AboutLimits,
    budget: BTreeMap<String, u64>,
    config: Map<String, Json>,
    event_type: String,
    init_log: Vec<(String, String)>,
    error: Option<AboutError>,
    log: Vec<(String, String)>,
    used: BTreeMap<String, u64>,
    fuel: u64,
    memory_bytes: u64,
    wall_us: u64,
    calls: Vec<AboutCall>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    refused: Vec<AboutRefused>,
    rests: Vec<AboutRest>,
}

#[derive(Serialize, Deserialize)]
struct AboutLimits {
    memory_bytes: u64,
    table_elements: u32,
    fuel: u64,
    deadline_us: u64,
    stored_keys: u64,
    stored_bytes: u64,
}

#[derive(Serialize, Deserialize)]
struct AboutError {
    code: String,
    fault: String,
    message: String,
}

#[derive(Serialize, Deserialize)]
struct AboutCall {
    fuel: u64,
    asked_us: u64,
    answered_us: Option<u64>,
}

#[derive(Serialize, Deserialize)]
struct AboutRefused {
    before: usize,
    call: String,
    status: String,
    message: String,
    fuel: u64,
    asked_us: u64,
}

#[derive(Serialize, Deserialize)]
struct AboutRest {
    call: usize,
    parked_us: u64,
    resumed_us: Option<u64>,
    caught_up_us: Option<u64>,
}

pub(super) fn write(parts: &Parts) -> Vec<u8> {
    let mut out = MAGIC.to_vec();
    out.push(VERSION);
    let about = serde_json::to_vec(&About::of(parts)).expect("every map in it has strings for keys");
    put(&mut out, section::ABOUT, &about);
    put(&mut out, section::MODULE, &parts.module);
    put(&mut out, section::EVENT_DATA, parts.event.data());
    put(&mut out, section::INIT_JOURNAL, &encode_journal(&parts.init));
    put(&mut out, section::EVENT_JOURNAL, &encode_journal(&parts.calls));
    if let Ok(response) = &parts.ending.result {
        put(&mut out, section::RESPONSE, response);
    }
    out
}

fn put(out: &mut Vec<u8>, kind: u8, bytes: &[u8]) {
    out.push(kind);
    out.extend_from_slice(&(bytes.len() as u64).to_le_bytes());
    out.extend_from_slice(bytes);
}

pub(super) fn read(mut bytes: Bytes) -> Result<Parts> {
    if take(&mut bytes, MAGIC.len() as u64)?[..] != MAGIC[..] {
        return Err(bad("this is not a recording"));
    }
    match take(&mut bytes, 1)?[0] {
        VERSION => {}
        version if version > VERSION => {
            return Err(bad(format!(
                "the recording has version {version} of its format, and this program reads up to {VERSION}; use a newer one"
            )));
        }
        _ => return Err(bad("there is no version 0 of a recording")),
    }
    let about = section(&mut bytes, section::ABOUT)?;
    let about: About = serde_json::from_slice(&about).map_err(|error| damaged(&format!("its description: {error}")))?;
    let module = section(&mut bytes, section::MODULE)?;
    let data = section(&mut bytes, section::EVENT_DATA)?;
    let init = journal(section(&mut bytes, section::INIT_JOURNAL)?)?;
    let calls = journal(section(&mut bytes, section::EVENT_JOURNAL)?)?;
    let response = if bytes.is_empty() { None } else { Some(section(&mut bytes, section::RESPONSE)?) };
    if !bytes.is_empty() {
        return Err(damaged("there is more behind its end"));
    }
    about.into_parts(module, data, init, calls, response)
}

fn section(bytes: &mut Bytes, kind: u8) -> Result<Bytes> {
    if take(bytes, 1)?[0] != kind {
        return Err(damaged(&format!("section {kind} is missing")));
    }
    let len = take(bytes, 8)?;
    take(bytes, u64::from_le_bytes(len[..].try_into().expect("8 bytes were taken")))
}

/// Bytes that are there. Nothing is allocated for them.
fn take(bytes: &mut Bytes, len: u64) -> Result<Bytes> {
    match usize::try_from(len) {
        Ok(len) if len <= bytes.len() => Ok(bytes.split_to(len)),
        _ => Err(damaged("it ends too early")),
    }
}

fn journal(bytes: Bytes) -> Result<Vec<JournalEntry>> {
    decode_journal(bytes).map_err(|error| bad(error.to_string()))
}

fn damaged(what: &str) -> crate::Error {
    bad(format!("the recording is damaged: {what}"))
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

impl About {
    fn of(parts: &Parts) -> Self {
        let Parts { limits: SkillLimits { engine, budget, quota, .. }, ending, .. } = parts;
        let failure = ending.result.as_ref().err();
        About {
            skill: parts.skill.to_string(),
            compiler: parts.compiler.clone(),
            state: if parts.state == State::Kept { "kept" } else { "fresh" }.into(),
            manifest: parts.manifest.clone(),
            limits: AboutLimits {
                memory_bytes: engine.memory_bytes,
                table_elements: engine.table_elements,
                fuel: engine.fuel,
                deadline_us: micros(engine.deadline),
                stored_keys: quota.keys,
                stored_bytes: quota.bytes,
            },
            budget: amounts(budget),
            config: parts.config.clone(),
            event_type: parts.event.event_type().into(),
            init_log: lines(&parts.init_log),
            error: failure.map(|Failure { code, fault, message }| AboutError {
                code: code.clone(),
                fault: fault.clone(),
                message: message.clone(),
            }),
            log: lines(&ending.log),
            used: amounts(&ending.used),
            fuel: ending.fuel,
            memory_bytes: ending.memory_bytes,
            wall_us: parts.wall_us,
            calls: parts.times.iter().map(AboutCall::of).collect(),
            refused: parts.refused.iter().map(AboutRefused::of).collect(),
            rests: parts.rests.iter().map(AboutRest::of).collect(),
        }
    }

    fn into_parts(
        self,
        module: Bytes,
        data: Bytes,
        init: Vec<JournalEntry>,
        calls: Vec<JournalEntry>,
        response: Option<Bytes>,
    ) -> Result<Parts> {
        let AboutLimits { memory_bytes, table_elements, fuel, deadline_us, stored_keys, stored_bytes } = self.limits;
        let result = match (response, self.error) {
            (Some(response), None) => Ok(response),
            (None, Some(AboutError { code, fault, message })) => Err(Failure { code, fault, message }),
            _ => return Err(damaged("it has not one ending, response or error")),
        };
        if self.calls.len() != calls.len() {
            return Err(damaged("its host calls have not as many times"));
        }
        let state = match self.state.as_str() {
            "fresh" => State::Fresh,
            "kept" => State::Kept,
            _ => return Err(damaged("it names no state of a skill")),
        };
        Ok(Parts {
            skill: self.skill.parse().map_err(|error| damaged(&format!("{error}")))?,
            compiler: self.compiler,
            state,
            manifest: self.manifest,
            limits: SkillLimits {
                engine: Limits { memory_bytes, table_elements, fuel, deadline: Duration::from_micros(deadline_us) },
                budget: amounts_of(&self.budget)?,
                quota: Quota { keys: stored_keys, bytes: stored_bytes },
                // Nothing waits in a replay.
                park_after: Limits::PARK_AFTER,
            },
            config: self.config,
            module,
            event: Event::new(self.event_type, data),
            init: init.into(),
            init_log: lines_of(self.init_log)?,
            calls: calls.into(),
            times: self.calls.into_iter().map(AboutCall::trace).collect(),
            refused: self.refused.into_iter().map(AboutRefused::refused).collect::<Result<_>>()?,
            rests: self.rests.into_iter().map(AboutRest::rest).collect(),
            ending: Ending {
                result,
                log: lines_of(self.log)?,
                used: amounts_of(&self.used)?,
                fuel: self.fuel,
                memory_bytes: self.memory_bytes,
            },
            wall_us: self.wall_us,
        })
    }
}

impl AboutCall {
    fn of(call: &CallTrace) -> Self {
        let CallTrace { fuel, asked, answered } = *call;
        AboutCall { fuel, asked_us: micros(asked), answered_us: answered.map(micros) }
    }

    fn trace(self) -> CallTrace {
        let AboutCall { fuel, asked_us, answered_us } = self;
        CallTrace { fuel, asked: Duration::from_micros(asked_us), answered: answered_us.map(Duration::from_micros) }
    }
}

impl AboutRefused {
    fn of(refused: &RefusedCall) -> Self {
        let RefusedCall { before, call, status, message, fuel, asked } = refused;
        let (call, status) = ((*call).to_owned(), status.name().to_owned());
        AboutRefused { before: *before, call, status, message: message.clone(), fuel: *fuel, asked_us: micros(*asked) }
    }

    fn refused(self) -> Result<RefusedCall> {
        let AboutRefused { before, call, status, message, fuel, asked_us } = self;
        let call = import(&call).ok_or_else(|| damaged("it names no host function"))?.name;
        let status = Status::ALL.into_iter().find(|known| known.name() == status);
        let status = status.ok_or_else(|| damaged("it names no status"))?;
        Ok(RefusedCall { before, call, status, message, fuel, asked: Duration::from_micros(asked_us) })
    }
}

impl AboutRest {
    fn of(rest: &Rest) -> Self {
        let Rest { call, parked, resumed, caught_up } = *rest;
        let (resumed_us, caught_up_us) = (resumed.map(micros), caught_up.map(micros));
        AboutRest { call, parked_us: micros(parked), resumed_us, caught_up_us }
    }

    fn rest(self) -> Rest {
        let AboutRest { call, parked_us, resumed_us, caught_up_us } = self;
        let time = Duration::from_micros;
        Rest { call, parked: time(parked_us), resumed: resumed_us.map(time), caught_up: caught_up_us.map(time) }
    }
}

fn amounts(amounts: &Amounts) -> BTreeMap<String, u64> {
    amounts.iter().map(|(resource, amount)| (resource.name().to_owned(), amount)).collect()
}

fn amounts_of(amounts: &BTreeMap<String, u64>) -> Result<Amounts> {
    let mut all = Amounts::default();
    for resource in Resource::ALL {
        let amount = amounts.get(resource.name());
        all = all.with(resource, *amount.ok_or_else(|| damaged(&format!("no amount of {}", resource.name())))?);
    }
    Ok(all)
}

fn lines(log: &[LogLine]) -> Vec<(String, String)> {
    log.iter().map(|line| (line.level.name().to_owned(), line.message.clone())).collect()
}

fn lines_of(log: Vec<(String, String)>) -> Result<Vec<LogLine>> {
    let line = |(name, message): (String, String)| {
        let level = Level::ALL.into_iter().find(|level| level.name() == name);
        Ok(LogLine { level: level.ok_or_else(|| damaged("it names no log level"))?, message })
    };
    log.into_iter().map(line).collect()
}
