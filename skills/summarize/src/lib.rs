//! Lets the AI summarize documents that are kept in memory.
//!
//! | event | data | answer |
//! |---|---|---|
//! | `document.put` | `{"key", "text"}` | `{"key", "bytes"}` |
//! | `document.summarize` | `{"key"}` | `{"key", "summary_key", "summary"}` |
//!
//! A document's key begins with `doc/`; the summary of `doc/1` is kept under `summary/1`.
#![no_std]

use cis_skill_sdk::prelude::*;
use serde::{Deserialize, Serialize};

/// The skill.
#[derive(Default)]
pub struct Summarize;

#[derive(Deserialize)]
struct Put {
    key: String,
    text: String,
}

#[derive(Serialize)]
struct Stored {
    key: String,
    bytes: usize,
}

#[derive(Deserialize)]
struct Document {
    key: String,
}

#[derive(Serialize)]
struct Summary {
    key: String,
    summary_key: String,
    summary: String,
}

impl Skill for Summarize {
    fn handle(&mut self, event: Event<'_>) -> Result<Response, Error> {
        match event.kind() {
            "document.put" => Response::json(&put(event.json()?)?),
            "document.summarize" => Response::json(&summarize(event.json()?)?),
            _ => Err(event.unknown()),
        }
    }
}

skill!(Summarize);

const DOCUMENT: &str = "doc/";
const SUMMARY: &str = "summary/";

fn put(document: Put) -> Result<Stored, Error> {
    name(&document.key)?;
    if document.text.trim().is_empty() {
        return Err(Error::invalid("`text` is empty"));
    }
    Memory::set(&document.key, &document.text)?;
    Ok(Stored { bytes: document.text.len(), key: document.key })
}

fn summarize(document: Document) -> Result<Summary, Error> {
    let key = document.key;
    let name = name(&key)?;
    let Some(text) = Memory::get(&key)? else {
        return Err(Error::invalid(format!("there is no document `{key}`; store one with `document.put`")));
    };
    let text = String::from_utf8(text).map_err(|_| Error::failed(format!("the document `{key}` is not text")))?;
    let sentences: u32 = Config::get("sentences")?.unwrap_or(2);
    let reply = Ai::chat(&format!("Summarize the following text in at most {sentences} sentences.\n\n{text}"))?;
    let summary = reply.trim();
    if summary.is_empty() {
        return Err(Error::failed("the AI answered with an empty text"));
    }
    let summary_key = format!("{SUMMARY}{name}");
    Memory::set(&summary_key, summary)?;
    info!("{key}: {} bytes to {}", text.len(), summary.len());
    Ok(Summary { summary: summary.to_owned(), summary_key, key })
}

/// What stands behind `doc/` in a document's key.
fn name(key: &str) -> Result<&str, Error> {
    let name = key.strip_prefix(DOCUMENT).filter(|name| !name.is_empty());
    name.ok_or_else(|| Error::invalid(format!("`{key}` is not a document's key: it begins with `{DOCUMENT}`")))
}
