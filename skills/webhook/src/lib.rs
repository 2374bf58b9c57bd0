//! Posts events to a webhook. The token that the receiver asks for is the host's: it is put in on the request's way out,
//! as the manifest says, and the skill never sees it.
//!
//! | event | data | answer |
//! |---|---|---|
//! | `webhook.send` | `{"payload", "path"?}` | `{"url", "response"}` |
//!
//! The payload is an object of strings and goes out as JSON. `path` is put behind the setting `url`.
#![no_std]

extern crate alloc;

use alloc::collections::BTreeMap;

use cis_skill_sdk::prelude::*;
use serde::{Deserialize, Serialize};

/// The skill.
#[derive(Default)]
pub struct Webhook;

#[derive(Deserialize)]
struct Send {
    payload: BTreeMap<String, String>,
    #[serde(default)]
    path: String,
}

#[derive(Serialize)]
struct Sent {
    url: String,
    response: String,
}

impl Skill for Webhook {
    /// A host that has not said where to send is told so at once, and not with the first event.
    fn init(&mut self) -> Result<(), Error> {
        base().map(drop)
    }

    fn handle(&mut self, event: Event<'_>) -> Result<Response, Error> {
        match event.kind() {
            "webhook.send" => Response::json(&send(event.json()?)?),
            _ => Err(event.unknown()),
        }
    }
}

skill!(Webhook);

fn send(send: Send) -> Result<Sent, Error> {
    if send.payload.is_empty() {
        return Err(Error::invalid("`payload` is empty"));
    }
    let mut url = base()?;
    // What follows the host may not become a part of it.
    if !send.path.is_empty() && !send.path.starts_with('/') {
        return Err(Error::invalid("`path` does not begin with `/`"));
    }
    url.push_str(&send.path);
    let response = match Http::post_json(&url, &send.payload) {
        Ok(response) => response,
        Err(error) => {
            warn!("{url}: {error}");
            return Err(error);
        }
    };
    info!("{url}: {} bytes of response", response.len());
    let response = String::from_utf8(response).map_err(|_| Error::failed("the response is not text"))?;
    Ok(Sent { url, response })
}

fn base() -> Result<String, Error> {
    let url: Option<String> = Config::get("url")?;
    url.filter(|url| !url.is_empty()).ok_or_else(|| Error::failed("the setting `url` is empty"))
}
