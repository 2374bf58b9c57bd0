//! The manifest: an author's text, who may be hostile.

use std::fmt::Write as _;

use arbitrary::{Arbitrary, Result, Unstructured};
use cis_skill::{Manifest, ManifestError};
use cis_wasm_abi::ceilings;

use crate::tally::Tally;

/// Parses the bytes as a manifest, and a manifest that is made from them. Counts those that are one.
///
/// # Panics
///
/// As [`manifest_text`].
pub fn manifest(data: &[u8]) -> Tally {
    let mut tally = Tally::default();
    if manifest_text(&String::from_utf8_lossy(data)).is_ok() {
        tally.count("raw_accepted");
    }
    // An error means no more than that the bytes were used up.
    if let Ok(text) = written(&mut Unstructured::new(data)) {
        tally.count(if manifest_text(&text).is_ok() { "made_accepted" } else { "made_refused" });
    }
    tally
}

/// Parses a text as a manifest, prints it and parses that.
///
/// # Errors
///
/// When the text is not a manifest.
///
/// # Panics
///
/// When what parsed does not print as a text that parses to the same, or an error names a line that is not there.
pub fn manifest_text(text: &str) -> std::result::Result<Manifest, ManifestError> {
    let manifest: Manifest = match text.parse() {
        Ok(manifest) => manifest,
        Err(error) => {
            let lines = 1 + text.matches('\n').count();
            assert!(error.line().is_none_or(|line| (1..=lines).contains(&line)), "{error}\n{text}");
            return Err(error);
        }
    };
    assert!(text.len() <= ceilings::MANIFEST, "{} bytes were parsed", text.len());
    let printed = manifest.to_string();
    // What is written out may be longer than what was read, and then longer than a manifest may be.
    if printed.len() <= ceilings::MANIFEST {
        let again: Manifest = match printed.parse() {
            Ok(again) => again,
            Err(error) => panic!("{error}\n== printed\n{printed}\n== read\n{text}"),
        };
        assert_eq!(again, manifest, "\n== printed\n{printed}\n== read\n{text}");
        assert_eq!(again.to_string(), printed);
    }
    Ok(manifest)
}

/// A text that is nearly always TOML and often a manifest.
fn written(u: &mut Unstructured<'_>) -> Result<String> {
    let mut text = String::new();
    entry(u, &mut text, "name", |u| one_of(u, &["notes", "a", "a.b-c_9", "0", "Notes", "", "@a"]))?;
    entry(u, &mut text, "version", |u| one_of(u, &["0.1.0", "1.2.3-rc.1+build.5", "1", "0.0.99999999999999999999"]))?;
    maybe(u, &mut text, "description", string)?;
    maybe(u, &mut text, "state", |u| one_of(u, &["fresh", "kept", "frozen"]))?;
    maybe(u, &mut text, "subscriptions", |u| list(u, string))?;
    if u.ratio(1, 2)? {
        permissions(u, &mut text)?;
    }
    if u.ratio(1, 2)? {
        limits(u, &mut text)?;
    }
    for _ in 0..u.int_in_range(0..=3)? {
        let name = string(u)?;
        let kinds: [(&str, Make); 6] = [
            ("string", string),
            ("integer", integer),
            ("number", number),
            ("boolean", boolean),
            ("array", |u| list(u, |u| value(u, 2))),
            ("object", |u| table(u, 3)),
        ];
        let (kind, default) = *u.choose(&kinds)?;
        writeln!(text, "[config.{name}]\ntype = \"{kind}\"").expect("a string takes everything");
        maybe(u, &mut text, "default", default)?;
        maybe(u, &mut text, "description", string)?;
        maybe(u, &mut text, "required", boolean)?;
    }
    Ok(text)
}

fn permissions(u: &mut Unstructured<'_>, text: &mut String) -> Result<()> {
    const RULES: [&str; 9] = [
        "hooks.example.com",
        "https://hooks.example.com:8443",
        "http://127.0.0.1:*",
        "*.example.org",
        "[::1]",
        "xn--bcher-kva.example",
        "b\u{fc}cher.example",
        "HOOKS.example.com.",
        "user@example.com",
    ];
    text.push_str("[permissions]\n");
    maybe(u, text, "memory", |u| one_of(u, &["none", "read", "read-write", "write"]))?;
    maybe(u, text, "ai", boolean)?;
    maybe(u, text, "shared_memory", |u| {
        let entry = format!("{} = {}", string(u)?, one_of(u, &["none", "read", "read-write"])?);
        Ok(format!("{{ team = \"read\", {entry} }}"))
    })?;
    text.push_str("[permissions.http]\n");
    maybe(u, text, "allow", |u| list(u, |u| one_of(u, &RULES)))?;
    for _ in 0..u.int_in_range(0..=2)? {
        text.push_str("[[permissions.http.secrets]]\n");
        entry(u, text, "name", |u| one_of(u, &["TOKEN", "a.b-c", "", "\u{fc}"]))?;
        entry(u, text, "host", |u| one_of(u, &RULES))?;
        entry(u, text, "header", |u| one_of(u, &["Authorization", "x-key", "Host", "a b", "X-KEY"]))?;
        maybe(u, text, "prefix", string)?;
    }
    Ok(())
}

fn limits(u: &mut Unstructured<'_>, text: &mut String) -> Result<()> {
    const NAMES: [&str; 10] = [
        "memory_mib",
        "deadline_ms",
        "park_after_ms",
        "fuel",
        "table_elements",
        "stored_keys",
        "stored_bytes",
        "host_calls",
        "ai_tokens",
        "log_bytes",
    ];
    text.push_str("[limits]\n");
    for name in NAMES {
        maybe(u, text, name, integer)?;
    }
    Ok(())
}

type Make = fn(&mut Unstructured<'_>) -> Result<String>;

fn entry(
    u: &mut Unstructured<'_>,
    text: &mut String,
    key: &str,
    make: impl FnOnce(&mut Unstructured<'_>) -> Result<String>,
) -> Result<()> {
    // Now and then something that does not belong there.
    let value = if u.ratio(1, 64)? { value(u, 2)? } else { make(u)? };
    writeln!(text, "{key} = {value}").expect("a string takes everything");
    Ok(())
}

fn maybe(
    u: &mut Unstructured<'_>,
    text: &mut String,
    key: &str,
    make: impl FnOnce(&mut Unstructured<'_>) -> Result<String>,
) -> Result<()> {
    if u.ratio(1, 2)? { entry(u, text, key, make) } else { Ok(()) }
}

fn one_of(u: &mut Unstructured<'_>, texts: &[&str]) -> Result<String> {
    // The first is the usual one.
    let text = if u.ratio(7, 8)? { &texts[0] } else { u.choose(texts)? };
    quoted(u, text)
}

fn string(u: &mut Unstructured<'_>) -> Result<String> {
    let text = match u.int_in_range(0..=3)? {
        0 => String::arbitrary(u)?,
        1 => u
            .choose(&["\n", "'", "\"", "\\", "a\nb", "'''", "\"\"\"", "\r\n", "\u{0}\u{7f}", "\u{feff}", ""])?
            .to_string(),
        _ => u.choose(&["tick", "note.add", "team", "a b", "x", "memory.change"])?.to_string(),
    };
    quoted(u, &text)
}

/// A text as TOML has it, in one of its forms.
fn quoted(u: &mut Unstructured<'_>, text: &str) -> Result<String> {
    let plain = text.chars().all(|c| c != '\'' && c >= ' ' && c != '\u{7f}');
    if plain && u.ratio(1, 4)? {
        return Ok(format!("'{text}'"));
    }
    let escape_all = u.ratio(1, 8)?;
    let mut out = String::from("\"");
    for c in text.chars() {
        if escape_all || c < ' ' || matches!(c, '"' | '\\' | '\u{7f}') {
            write!(out, "\\U{:08X}", u32::from(c)).expect("a string takes everything");
        } else {
            out.push(c);
        }
    }
    out.push('"');
    Ok(out)
}

fn integer(u: &mut Unstructured<'_>) -> Result<String> {
    Ok(match u.int_in_range(0..=4)? {
        0 => i64::arbitrary(u)?.to_string(),
        1 => format!("0x{:x}", u64::arbitrary(u)?),
        2 => u
            .choose(&["0", "-0", "+1", "1_000", "0o17", "0b101", "9223372036854775807", "9223372036854775808"])?
            .to_string(),
        _ => u8::arbitrary(u)?.to_string(),
    })
}

fn number(u: &mut Unstructured<'_>) -> Result<String> {
    if u.ratio(1, 4)? {
        return integer(u);
    }
    if u.ratio(1, 2)? {
        let edges = ["-0.0", "1e308", "1e-320", "1e400", "inf", "nan", "5e-324", "1.0", "1e16", "123456789.123456789"];
        return Ok(u.choose(&edges)?.to_string());
    }
    let number = f64::arbitrary(u)?;
    Ok(if number.is_finite() { format!("{number:?}") } else { "0.5".to_owned() })
}

fn boolean(u: &mut Unstructured<'_>) -> Result<String> {
    Ok(bool::arbitrary(u)?.to_string())
}

fn list(u: &mut Unstructured<'_>, make: Make) -> Result<String> {
    let values: Vec<String> = (0..u.int_in_range(0..=3)?).map(|_| make(u)).collect::<Result<_>>()?;
    Ok(format!("[{}]", values.join(", ")))
}

fn table(u: &mut Unstructured<'_>, depth: usize) -> Result<String> {
    let entry = |u: &mut Unstructured<'_>| Ok(format!("{} = {}", string(u)?, value(u, depth.saturating_sub(1))?));
    let entries: Vec<String> = (0..u.int_in_range(0..=3)?).map(|_| entry(u)).collect::<Result<_>>()?;
    Ok(format!("{{ {} }}", entries.join(", ")))
}

/// A value of any type.
fn value(u: &mut Unstructured<'_>, depth: usize) -> Result<String> {
    match u.int_in_range(0..=if depth == 0 { 4 } else { 6 })? {
        0 => string(u),
        1 => integer(u),
        2 => number(u),
        3 => boolean(u),
        4 => Ok(u.choose(&["1979-05-27T07:32:00Z", "1979-05-27", "07:32:00"])?.to_string()),
        5 => {
            let values: Vec<String> =
                (0..u.int_in_range(0..=3)?).map(|_| value(u, depth - 1)).collect::<Result<_>>()?;
            Ok(format!("[{}]", values.join(", ")))
        }
        _ => table(u, depth),
    }
}
