//! Keeps notes in the skill's memory. JSON in and out.
//!
//! | event | data | answer |
//! |---|---|---|
//! | `note.add` | `{"text"}` | the note: `{"id", "text"}` |
//! | `note.list` | | `{"notes": [{"id", "text"}]}`, oldest first |
//! | `note.delete` | `{"id"}` | `{"deleted": id}` |
#![no_std]

use cis_skill_sdk::prelude::*;
use serde::{Deserialize, Serialize};

/// The skill.
#[derive(Default)]
pub struct Notes;

#[derive(Deserialize, Serialize)]
struct Note {
    id: u32,
    text: String,
}

#[derive(Deserialize)]
struct Add {
    text: String,
}

#[derive(Serialize)]
struct Listed {
    notes: Vec<Note>,
}

#[derive(Deserialize)]
struct Delete {
    id: u32,
}

#[derive(Serialize)]
struct Deleted {
    deleted: u32,
}

impl Skill for Notes {
    fn handle(&mut self, event: Event<'_>) -> Result<Response, Error> {
        match event.kind() {
            "note.add" => Response::json(&add(event.json()?)?),
            "note.list" => Response::json(&Listed { notes: list()? }),
            "note.delete" => Response::json(&delete(event.json()?)?),
            _ => Err(event.unknown()),
        }
    }
}

skill!(Notes);

/// Where the number of the last note is. It only grows, so that a deleted note's number is not given out again.
const LAST: &str = "last";

/// What the keys of notes begin with.
const NOTE: &str = "note/";

/// The key of a note: with leading zeros, the order of keys is the order of numbers.
fn key(id: u32) -> String {
    format!("{NOTE}{id:010}")
}

fn add(add: Add) -> Result<Note, Error> {
    let text = add.text.trim();
    if text.is_empty() {
        return Err(Error::invalid("`text` is empty"));
    }
    let last: u32 = Memory::json(LAST)?.unwrap_or(0);
    let id = last.checked_add(1).ok_or_else(|| Error::failed("there are no more numbers for notes"))?;
    let note = Note { id, text: text.to_owned() };
    // The number first: should the note then not be stored, its number is lost and nothing else.
    Memory::set_json(LAST, &id)?;
    Memory::set(&key(id), &note.text)?;
    info!("note {id} added");
    Ok(note)
}

fn list() -> Result<Vec<Note>, Error> {
    let mut notes = Vec::new();
    for key in Memory::list(NOTE)?.iter() {
        let id = key.strip_prefix(NOTE).and_then(|id| id.parse().ok());
        let id = id.ok_or_else(|| Error::failed(format!("`{key}` is not the key of a note")))?;
        if let Some(text) = Memory::text(key)? {
            notes.push(Note { id, text });
        }
    }
    Ok(notes)
}

fn delete(delete: Delete) -> Result<Deleted, Error> {
    let id = delete.id;
    if Memory::delete(&key(id))? {
        info!("note {id} deleted");
        Ok(Deleted { deleted: id })
    } else {
        Err(Error::invalid(format!("there is no note {id}")))
    }
}
