//! Events and their journals, in the same file as memory.
//!
//! ```text
//! events    id              -> (skill, type, data, failures)
//! journals  (id, call)      -> entries from that call on, as `docs/journal.md` says
//! dead      id              -> why: the event is not tried again
//! resumed   id              -> (how often, the place of the journal's last piece then)
//! ended     id              -> (0 response or 1 error, its code, whether the body is here, the body)
//! ```
//!
//! What must stay true:
//! - an event is in `events` or in `ended`, never in both; `journals`, `dead` and `resumed` are of events in `events`;
//! - the pieces of a journal follow each other without a gap and without an overlap: a piece is taken only when nothing is
//!   stored from its first call on;
//! - the largest number ever given out stays in `events` or `ended`, so that none is given out twice.

use async_trait::async_trait;
use bytes::Bytes;
use redb::{ReadTransaction, ReadableDatabase, ReadableTable, ReadableTableMetadata, Table, WriteTransaction};

use super::writer::{MemoryTables, Step, Wrote};
use super::{DEAD, ENDED, EVENTS, JOURNALS, RESUMED, RedbMemory};
use crate::{
    BackendError, BackendErrorKind, Changed, DeadLetter, EntryOf, EventEnd, EventId, EventToKeep, JournalEntry,
    JournalPiece, JournalStore, KeptEvent, MemoryChange,
};

/// How many ends are kept.
const ENDS: u64 = 1024;
/// The longest response that is kept with an end, in bytes.
const END_BODY: usize = 16 << 10;

/// A row of `events`.
pub(super) type EventRow = (&'static str, &'static str, &'static [u8], u32);
/// A row of `resumed`.
pub(super) type ResumedRow = (u32, u64);
/// A row of `ended`.
pub(super) type EndRow = (u8, &'static str, u8, &'static [u8]);

/// One step in an event's life.
pub(super) enum EventStep {
    Accept(EventId, EventToKeep),
    Append(JournalPiece),
    Change { piece: JournalPiece, change: MemoryChange, entry: EntryOf },
    Done(EventId, EventEnd),
    Failed { id: EventId, why: String, most: u32 },
    Resumed(EventId, u32),
    Revive(EventId),
    Discard(EventId),
}

pub(super) struct EventTables<'t> {
    events: Table<'t, u64, EventRow>,
    journals: Table<'t, (u64, u64), &'static [u8]>,
    dead: Table<'t, u64, &'static str>,
    resumed: Table<'t, u64, ResumedRow>,
    ended: Table<'t, u64, EndRow>,
}

type Answer = Result<Wrote, BackendError>;

impl<'t> EventTables<'t> {
    pub(super) fn open(transaction: &'t WriteTransaction) -> Result<Self, redb::Error> {
        Ok(EventTables {
            events: transaction.open_table(EVENTS)?,
            journals: transaction.open_table(JOURNALS)?,
            dead: transaction.open_table(DEAD)?,
            resumed: transaction.open_table(RESUMED)?,
            ended: transaction.open_table(ENDED)?,
        })
    }

    /// The outer error is the store's; the inner one says that there is no such event.
    pub(super) fn take(&mut self, step: EventStep, memory: &mut MemoryTables<'_>) -> Result<Answer, redb::Error> {
        Ok(match step {
            EventStep::Accept(id, event) => {
                let EventToKeep { skill, event_type, data } = &event;
                self.events.insert(id.number(), (skill.as_str(), &**event_type, &**data, 0))?;
                Ok(Wrote::Done(true))
            }
            EventStep::Append(piece) => {
                if let Err(error) = self.admits(&piece)? {
                    return Ok(Err(error));
                }
                if !piece.entries.is_empty() {
                    self.append(&piece)?;
                }
                Ok(Wrote::Done(true))
            }
            EventStep::Change { mut piece, change, entry } => {
                // Before memory is touched: what follows must not fail but as a whole.
                if let Err(error) = self.admits(&piece)? {
                    return Ok(Err(error));
                }
                let changed = memory.change(&change)?;
                piece.entries.push(entry(&changed));
                self.append(&piece)?;
                Ok(Wrote::Changed(changed))
            }
            EventStep::Done(id, end) => match self.forget(id)? {
                false => Err(unknown(id)),
                true => {
                    self.end(id, &end)?;
                    Ok(Wrote::Done(true))
                }
            },
            EventStep::Failed { id, why, most } => self.failed(id, &why, most)?,
            EventStep::Resumed(id, times) => {
                if self.events.get(id.number())?.is_none() {
                    return Ok(Err(unknown(id)));
                }
                let place = place(&self.journals, id)?;
                self.resumed.insert(id.number(), (times, place))?;
                Ok(Wrote::Done(true))
            }
            EventStep::Revive(id) => {
                if !self.rises(id)? {
                    return Ok(Ok(Wrote::Kept(None)));
                }
                self.resumed.remove(id.number())?;
                self.with_failures(id, |_| 0)?.map(|kept| Wrote::Kept(Some(kept)))
            }
            EventStep::Discard(id) => {
                if !self.rises(id)? {
                    return Ok(Ok(Wrote::Done(false)));
                }
                let known = self.forget(id)?;
                self.end(id, &EventEnd { error: Some("discarded".into()), body: Some(Bytes::new()) })?;
                Ok(Wrote::Done(known))
            }
        })
    }

    /// Takes an event from the dead letters. False when it is not among them.
    fn rises(&mut self, id: EventId) -> Result<bool, redb::Error> {
        Ok(self.dead.remove(id.number())?.is_some())
    }

    /// Whether a piece belongs to an event that is there, and to a run of it that knows all that is stored. One that went on
    /// from less would do again what was done.
    fn admits(&self, piece: &JournalPiece) -> Result<Result<(), BackendError>, redb::Error> {
        let id = piece.event;
        if self.events.get(id.number())?.is_none() {
            return Ok(Err(unknown(id)));
        }
        let known = self.journals.range((id.number(), piece.first)..=(id.number(), u64::MAX))?.next().transpose()?;
        Ok(match known {
            None => Ok(()),
            Some(_) => {
                let why = format!("the store has call {} of event {id} already", piece.first);
                Err(BackendError::new(BackendErrorKind::InvalidRequest, why))
            }
        })
    }

    fn append(&mut self, piece: &JournalPiece) -> Result<(), redb::Error> {
        let mut bytes = Vec::new();
        piece.entries.iter().for_each(|entry| entry.encode(&mut bytes));
        self.journals.insert((piece.event.number(), piece.first), &*bytes)?;
        Ok(())
    }

    /// Takes an event and its journal out. False when there is no such event.
    fn forget(&mut self, id: EventId) -> Result<bool, redb::Error> {
        let known = self.events.remove(id.number())?.is_some();
        self.resumed.remove(id.number())?;
        self.journals.retain_in((id.number(), 0)..=(id.number(), u64::MAX), |_, _| false)?;
        Ok(known)
    }

    fn end(&mut self, id: EventId, end: &EventEnd) -> Result<(), redb::Error> {
        let body = end.body.as_deref().filter(|body| body.len() <= END_BODY);
        let code = end.error.as_deref();
        let row = (u8::from(code.is_some()), code.unwrap_or(""), u8::from(body.is_some()), body.unwrap_or(&[]));
        self.ended.insert(id.number(), row)?;
        if self.ended.len()? > ENDS {
            self.ended.pop_first()?;
        }
        Ok(())
    }

    fn failed(&mut self, id: EventId, why: &str, most: u32) -> Result<Answer, redb::Error> {
        let kept = match self.with_failures(id, |failures| failures.saturating_add(1))? {
            Ok(kept) => kept,
            Err(error) => return Ok(Err(error)),
        };
        if kept.failures < most {
            return Ok(Ok(Wrote::Kept(Some(kept))));
        }
        self.dead.insert(id.number(), why)?;
        Ok(Ok(Wrote::Kept(None)))
    }

    /// Counts an event's failures anew, and reads it.
    fn with_failures(
        &mut self,
        id: EventId,
        count: impl FnOnce(u32) -> u32,
    ) -> Result<Result<KeptEvent, BackendError>, redb::Error> {
        let kept = match read_one(&self.events, &self.journals, &self.resumed, id)? {
            Ok(kept) => KeptEvent { failures: count(kept.failures), ..kept },
            Err(error) => return Ok(Err(error)),
        };
        let EventToKeep { skill, event_type, data } = &kept.event;
        self.events.insert(id.number(), (skill.as_str(), &**event_type, &**data, kept.failures))?;
        Ok(Ok(kept))
    }
}

fn unknown(id: EventId) -> BackendError {
    BackendError::new(BackendErrorKind::InvalidRequest, format!("the store keeps no event {id}"))
}

fn read_one(
    events: &impl ReadableTable<u64, EventRow>,
    journals: &impl ReadableTable<(u64, u64), &'static [u8]>,
    resumed: &impl ReadableTable<u64, ResumedRow>,
    id: EventId,
) -> Result<Result<KeptEvent, BackendError>, redb::Error> {
    let Some(row) = events.get(id.number())? else { return Ok(Err(unknown(id))) };
    let damaged = |what: String| {
        Ok(Err(BackendError::new(BackendErrorKind::Failed, format!("the store's event {id} is damaged: {what}"))))
    };
    let (skill, event_type, data, failures) = row.value();
    let skill = match skill.parse() {
        Ok(skill) => skill,
        Err(error) => return damaged(format!("its skill: {error}")),
    };
    let event = EventToKeep { skill, event_type: event_type.to_owned(), data: Bytes::copy_from_slice(data) };
    let mut journal = Vec::new();
    for piece in journals.range((id.number(), 0)..=(id.number(), u64::MAX))? {
        let (place, bytes) = piece?;
        if place.value().1 != journal.len() as u64 {
            return damaged(format!("its journal has {} calls before call {}", journal.len(), place.value().1));
        }
        let mut bytes = Bytes::copy_from_slice(bytes.value());
        while !bytes.is_empty() {
            match JournalEntry::decode(&mut bytes) {
                Ok(entry) => journal.push(entry),
                Err(error) => return damaged(error.to_string()),
            }
        }
    }
    let resumed = match resumed.get(id.number())?.map(|row| row.value()) {
        Some((times, at)) if at == place(journals, id)? => times,
        _ => 0,
    };
    Ok(Ok(KeptEvent { id, event, failures, resumed, journal }))
}

/// Where an event's journal has its last piece. It grows with every piece.
fn place(journals: &impl ReadableTable<(u64, u64), &'static [u8]>, id: EventId) -> Result<u64, redb::Error> {
    let last = journals.range((id.number(), 0)..=(id.number(), u64::MAX))?.next_back().transpose()?;
    Ok(last.map_or(0, |(place, _)| place.value().1 + 1))
}

/// The number after the largest that was given out.
pub(super) fn next_number(transaction: &ReadTransaction) -> Result<u64, redb::Error> {
    let kept = transaction.open_table(EVENTS)?.last()?.map(|(id, _)| id.value());
    let ended = transaction.open_table(ENDED)?.last()?.map(|(id, _)| id.value());
    Ok(kept.max(ended).map_or(1, |last| last + 1))
}

impl RedbMemory {
    async fn event_step(&self, step: EventStep) -> Result<Wrote, BackendError> {
        self.write(Step::Event(step)).await
    }

    /// The events of these numbers, or all.
    fn read_events<T>(
        &self,
        read: impl FnOnce(&ReadTransaction) -> Result<Result<T, BackendError>, redb::Error>,
    ) -> Result<T, BackendError> {
        let all = || -> Result<_, redb::Error> { read(&self.database.begin_read()?) };
        all().map_err(|error| BackendError::failed("cannot read the events", &error))?
    }
}

#[async_trait]
impl JournalStore for RedbMemory {
    fn name(&self) -> &str {
        &self.name
    }

    fn next_id(&self) -> EventId {
        EventId::new(self.next_event.fetch_add(1, std::sync::atomic::Ordering::Relaxed))
    }

    async fn accept(&self, id: EventId, event: EventToKeep) -> Result<(), BackendError> {
        self.event_step(EventStep::Accept(id, event)).await?;
        Ok(())
    }

    async fn append(&self, piece: JournalPiece) -> Result<(), BackendError> {
        self.event_step(EventStep::Append(piece)).await?;
        Ok(())
    }

    async fn change(&self, piece: JournalPiece, change: MemoryChange, entry: EntryOf) -> Result<Changed, BackendError> {
        match self.event_step(EventStep::Change { piece, change, entry }).await? {
            Wrote::Changed(changed) => Ok(changed),
            Wrote::Done(done) => Ok(Ok(done)),
            Wrote::Kept(_) => Ok(Ok(true)),
        }
    }

    async fn done(&self, id: EventId, end: EventEnd) -> Result<(), BackendError> {
        self.event_step(EventStep::Done(id, end)).await?;
        Ok(())
    }

    async fn failed(&self, id: EventId, why: String, most: u32) -> Result<Option<KeptEvent>, BackendError> {
        Ok(match self.event_step(EventStep::Failed { id, why, most }).await? {
            Wrote::Kept(kept) => kept,
            Wrote::Changed(_) | Wrote::Done(_) => None,
        })
    }

    async fn resumed(&self, id: EventId, times: u32) -> Result<(), BackendError> {
        self.event_step(EventStep::Resumed(id, times)).await?;
        Ok(())
    }

    async fn revive(&self, id: EventId) -> Result<Option<KeptEvent>, BackendError> {
        Ok(match self.event_step(EventStep::Revive(id)).await? {
            Wrote::Kept(kept) => kept,
            Wrote::Changed(_) | Wrote::Done(_) => None,
        })
    }

    async fn discard(&self, id: EventId) -> Result<bool, BackendError> {
        Ok(matches!(self.event_step(EventStep::Discard(id)).await?, Wrote::Done(true)))
    }

    async fn unfinished(&self) -> Result<Vec<KeptEvent>, BackendError> {
        self.read_events(|transaction| {
            let (events, journals) = (transaction.open_table(EVENTS)?, transaction.open_table(JOURNALS)?);
            let resumed = transaction.open_table(RESUMED)?;
            let dead = transaction.open_table(DEAD)?;
            let mut all = Vec::new();
            for row in events.iter()? {
                let id = row?.0.value();
                if dead.get(id)?.is_some() {
                    continue;
                }
                match read_one(&events, &journals, &resumed, EventId::new(id))? {
                    Ok(kept) => all.push(kept),
                    Err(error) => return Ok(Err(error)),
                }
            }
            Ok(Ok(all))
        })
    }

    async fn dead_letters(&self) -> Result<Vec<DeadLetter>, BackendError> {
        self.read_events(|transaction| {
            let (events, journals) = (transaction.open_table(EVENTS)?, transaction.open_table(JOURNALS)?);
            let resumed = transaction.open_table(RESUMED)?;
            let mut all = Vec::new();
            for row in transaction.open_table(DEAD)?.iter()? {
                let (id, why) = row?;
                match read_one(&events, &journals, &resumed, EventId::new(id.value()))? {
                    Ok(kept) => all.push(DeadLetter { kept, why: why.value().to_owned() }),
                    Err(error) => return Ok(Err(error)),
                }
            }
            Ok(Ok(all))
        })
    }

    async fn ended(&self, id: EventId) -> Result<Option<EventEnd>, BackendError> {
        self.read_events(|transaction| {
            let row = transaction.open_table(ENDED)?.get(id.number())?;
            Ok(Ok(row.map(|row| {
                let (failed, code, has_body, body) = row.value();
                let error = (failed == 1).then(|| code.to_owned());
                EventEnd { error, body: (has_body == 1).then(|| Bytes::copy_from_slice(body)) }
            })))
        })
    }
}
