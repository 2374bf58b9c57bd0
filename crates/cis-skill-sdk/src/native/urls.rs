//! Where a skill may send requests, for the URLs that tests have.
//!
//! The real host reads URLs with a full parser. This one reads the plain ones, which need no normal form, the same way,
//! and refuses the rest with [`Status::InvalidArgument`]: a test that passes here never passes by a looser reading.

use std::borrow::ToOwned;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::string::String;

use cis_wasm_abi::Status;

/// Scheme, host and port.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Origin {
    secure: bool,
    host: String,
    port: u16,
}

/// A rule as the manifest's `permissions.http.allow` writes it: `[scheme://]host[:port]`, `*.suffix`, any port as `:*`.
#[derive(Clone, Debug)]
pub(super) struct Rule {
    origin: Origin,
    below: bool,
    any_port: bool,
}

impl Rule {
    pub(super) fn parse(rule: &str) -> Option<Self> {
        let (scheme, rest) = rule.split_once("://").unwrap_or(("https", rule));
        let (rest, any_port) = rest.strip_suffix(":*").map_or((rest, false), |rest| (rest, true));
        let (rest, below) = rest.strip_prefix("*.").map_or((rest, false), |rest| (rest, true));
        let secure = secure(scheme)?;
        let origin = authority(secure, rest)?;
        let address = origin.host.starts_with('[') || origin.host.parse::<Ipv4Addr>().is_ok();
        if below && address { None } else { Some(Rule { origin, below, any_port }) }
    }

    fn matches(&self, origin: &Origin) -> bool {
        let host = if self.below {
            origin
                .host
                .strip_suffix(self.origin.host.as_str())
                .is_some_and(|head| head.len() > 1 && head.ends_with('.'))
        } else {
            origin.host == self.origin.host
        };
        let port = self.any_port || origin.port == self.origin.port;
        origin.secure == self.origin.secure && host && port
    }
}

/// Whether one of the rules lets a request go to `url`.
pub(super) fn permit(rules: &[Rule], url: &str) -> Result<(), Status> {
    let (scheme, rest) = url.split_once("://").ok_or(Status::InvalidArgument)?;
    let plain = |byte: u8| byte.is_ascii_graphic() && byte != b'\\';
    if !scheme.bytes().all(|byte| byte.is_ascii_alphanumeric()) || !rest.bytes().all(plain) {
        return Err(Status::InvalidArgument);
    }
    let Some(secure) = secure(scheme) else { return Err(Status::Denied) };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (whole, user) = (&rest[..end], rest[..end].rfind('@'));
    let origin = authority(secure, user.map_or(whole, |at| &whole[at + 1..])).ok_or(Status::InvalidArgument)?;
    // A URL with a user name is never allowed: it is there to look like another one.
    if user.is_none() && rules.iter().any(|rule| rule.matches(&origin)) { Ok(()) } else { Err(Status::Denied) }
}

fn secure(scheme: &str) -> Option<bool> {
    if scheme.eq_ignore_ascii_case("https") {
        Some(true)
    } else if scheme.eq_ignore_ascii_case("http") {
        Some(false)
    } else {
        None
    }
}

fn authority(secure: bool, authority: &str) -> Option<Origin> {
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, port),
        _ => (authority, ""),
    };
    let port = match port {
        "" => {
            if secure {
                443
            } else {
                80
            }
        }
        digits if digits.bytes().all(|byte| byte.is_ascii_digit()) => digits.parse().ok()?,
        _ => return None,
    };
    let host = host.to_ascii_lowercase();
    let plain = match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        // Only in the one form that such an address is written back in.
        Some(inner) => inner.parse::<Ipv6Addr>().is_ok_and(|address| inner == std::format!("{address}")),
        None => {
            let letters = host.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_'));
            // A name that ends in a number is an address, or nothing.
            let number = host.rsplit('.').next().is_some_and(|label| label.starts_with(|c: char| c.is_ascii_digit()));
            letters && !host.is_empty() && (!number || host.parse::<Ipv4Addr>().is_ok())
        }
    };
    plain.then(|| Origin { secure, host: host.to_owned(), port })
}
