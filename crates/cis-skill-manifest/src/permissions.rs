//! The table `permissions`: what a skill asks to be allowed.

use cis_wasm_host::{Access, Grants, HostPattern, HttpRule, SecretGrant};

use super::ManifestError;
use super::document::{Table, Value};

const ACCESS: [(&str, Access); 3] = [("none", Access::None), ("read", Access::Read), ("read-write", Access::ReadWrite)];

/// How many rules, secrets or shared namespaces a manifest may name.
const MOST_ENTRIES: usize = 256;

/// Headers that the egress client writes itself, or that would change what the request is.
const RESERVED_HEADERS: [&str; 14] = [
    "accept-encoding",
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "expect",
    "host",
    "keep-alive",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

pub(super) fn read(table: &Table<'_>) -> Result<Grants, ManifestError> {
    table.only(&["memory", "ai", "shared_memory", "http"])?;
    let mut grants = Grants::default();
    if let Some(memory) = table.get("memory") {
        grants.memory = memory.one_of(&ACCESS)?;
    }
    if let Some(ai) = table.get("ai") {
        grants.ai = ai.boolean()?;
    }
    if let Some(shared) = table.get("shared_memory") {
        let spaces = shared.table()?;
        for (name, access) in spaces.entries() {
            let name = name.parse().map_err(|error| access.error(format!("names no namespace: {error}")))?;
            grants.shared_memory.insert(name, access.one_of(&ACCESS)?);
        }
        few(&shared, grants.shared_memory.len())?;
    }
    if let Some(http) = table.get("http") {
        read_http(&http.table()?, &mut grants)?;
    }
    Ok(grants)
}

fn read_http(table: &Table<'_>, grants: &mut Grants) -> Result<(), ManifestError> {
    table.only(&["allow", "secrets"])?;
    if let Some(allow) = table.get("allow") {
        let rules = allow.array()?;
        few(&allow, rules.len())?;
        grants.http.rules = rules.iter().map(Value::parsed).collect::<Result<_, _>>()?;
    }
    if let Some(secrets) = table.get("secrets") {
        let entries = secrets.array()?;
        few(&secrets, entries.len())?;
        for entry in entries {
            let secret = read_secret(&entry.table()?, &grants.http.rules)?;
            let clash = grants
                .secrets
                .iter()
                .find(|other| other.header == secret.header && other.rule.intersection(&secret.rule).is_some());
            if let Some(other) = clash {
                let header = &secret.header;
                return Err(entry.error(format!("sends the header `{header}` that the secret `{}` sends", other.name)));
            }
            grants.secrets.push(secret);
        }
    }
    Ok(())
}

fn read_secret(table: &Table<'_>, allowed: &[HttpRule]) -> Result<SecretGrant, ManifestError> {
    table.only(&["name", "host", "header", "prefix"])?;
    let name = table.require("name")?;
    let text = name.short_string(128)?;
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte)) {
        return Err(name.error("must be letters, digits, `_`, `-` and `.`"));
    }
    let host = table.require("host")?;
    let rule: HttpRule = host.parsed()?;
    if !matches!(rule.host(), HostPattern::Exact(_)) {
        return Err(host.error("is a pattern; a secret goes to one exact host"));
    }
    if !allowed.iter().any(|allow| allow.intersection(&rule).is_some()) {
        return Err(host.error("is not covered by any rule of `permissions.http.allow`; allow it or drop the secret"));
    }
    let header = read_header(&table.require("header")?)?;
    let mut prefix = String::new();
    if let Some(value) = table.get("prefix") {
        value.short_string(128)?.clone_into(&mut prefix);
        if !prefix.bytes().all(|byte| (0x20..0x7F).contains(&byte)) {
            return Err(value.error("has a character that is not printable ASCII"));
        }
    }
    Ok(SecretGrant { name: text.to_owned(), rule, header, prefix })
}

fn read_header(value: &Value<'_>) -> Result<String, ManifestError> {
    let header = value.short_string(128)?.to_ascii_lowercase();
    // The characters of a token, RFC 9110 section 5.6.2.
    let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    if header.is_empty() || !header.bytes().all(token) {
        return Err(value.error("is not the name of an HTTP header"));
    }
    if RESERVED_HEADERS.contains(&header.as_str()) {
        return Err(value.error(format!("is \"{header}\", which the host writes itself; use another header")));
    }
    Ok(header)
}

fn few(value: &Value<'_>, len: usize) -> Result<(), ManifestError> {
    if len > MOST_ENTRIES {
        return Err(value.error(format!("has {len} entries, the most is {MOST_ENTRIES}")));
    }
    Ok(())
}
