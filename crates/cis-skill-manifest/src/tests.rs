use std::time::Duration;

use cis_wasm_host::{Access, Resource};
use serde_json::json;

use super::*;

const FULL: &str = r#"
name = "notes"
version = "0.1.0"
description = "Keeps \"notes\"."
state = "kept"
subscriptions = ["tick", "note.add", "tick"]

[permissions]
memory = "read"
ai = true

[permissions.shared_memory]
team = "read-write"
"other.team" = "none"

[permissions.http]
allow = ["https://hooks.example.com", "http://127.0.0.1:*", "*.example.org:8443"]

[[permissions.http.secrets]]
name = "WEBHOOK_TOKEN"
host = "hooks.example.com"
header = "Authorization"
prefix = "Bearer "

[limits]
memory_mib = 16
deadline_ms = 250
park_after_ms = 0
fuel = 1_000_000
table_elements = 10
host_calls = 7
ai_tokens = 0
stored_keys = 3
stored_bytes = 0x100

[config.url]
type = "string"
default = "https://hooks.example.com/events"
description = "Where to"

[config.tries]
type = "integer"
required = true

[config.shape]
type = "object"
default = { a = [1, 2.5, true], "b c" = { d = "e" } }
"#;

#[track_caller]
fn check_refused(text: &str, message: &str) {
    let error = text.parse::<Manifest>().expect_err("the manifest is bad");
    assert_eq!(error.to_string(), message);
}

/// A manifest with one more line at its end, which is line 3.
#[track_caller]
fn check_line(line: &str, message: &str) {
    check_refused(&format!("name = \"a\"\nversion = \"1.0.0\"\n{line}"), &format!("skill.toml {message}"));
}

#[test]
fn every_field_is_read() {
    let manifest: Manifest = FULL.parse().unwrap();
    assert_eq!(manifest.name.as_str(), "notes");
    assert_eq!(manifest.version, Version::new(0, 1, 0));
    assert_eq!(manifest.description, "Keeps \"notes\".");
    assert_eq!(manifest.state, State::Kept);
    assert_eq!(manifest.subscriptions, ["tick", "note.add"]);

    let grants = &manifest.permissions;
    assert_eq!((grants.memory, grants.ai), (Access::Read, true));
    assert_eq!(grants.shared_memory[&"team".parse().unwrap()], Access::ReadWrite);
    assert_eq!(grants.shared_memory[&"other.team".parse().unwrap()], Access::None);
    assert_eq!(grants.http.rules.len(), 3);
    let secret = &grants.secrets[0];
    let fields = (secret.name.as_str(), secret.header.as_str(), secret.prefix.as_str());
    assert_eq!(fields, ("WEBHOOK_TOKEN", "authorization", "Bearer "));

    let limits = &manifest.limits;
    assert_eq!(limits.engine.memory_bytes, 16 << 20);
    assert_eq!((limits.engine.deadline, limits.park_after), (Duration::from_millis(250), Duration::ZERO));
    assert_eq!((limits.engine.fuel, limits.engine.table_elements), (1_000_000, 10));
    assert_eq!((limits.budget.of(Resource::HostCalls), limits.budget.of(Resource::AiTokens)), (7, 0));
    assert_eq!(limits.budget.of(Resource::LogLines), SkillLimits::default().budget.of(Resource::LogLines));
    assert_eq!((limits.quota.keys, limits.quota.bytes), (3, 256));

    let names: Vec<&str> = manifest.config.iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["shape", "tries", "url"]);
    let shape = manifest.config.setting("shape").unwrap();
    assert_eq!(shape.default, Some(json!({ "a": [1, 2.5, true], "b c": { "d": "e" } })));
}

#[test]
fn name_and_version_are_enough() {
    let manifest: Manifest = "name = \"a\"\nversion = \"1.0.0\"".parse().unwrap();
    assert_eq!(manifest, Manifest { version: Version::new(1, 0, 0), ..Manifest::bare("a".parse().unwrap()) });
}

#[test]
fn what_is_shown_parses_back() {
    let keys = "name = \"a\"\nversion = \"1.0.0\"\n[config.\"a\\nb\"]\ntype = \"object\"\ndefault = { \"c\\n\\\"\" = \"d\\ne\" }";
    for text in [FULL, "name = \"a\"\nversion = \"1.0.0-rc.1+build\"", keys] {
        let manifest: Manifest = text.parse().unwrap();
        let shown = manifest.to_string();
        assert_eq!(shown.parse::<Manifest>().as_ref(), Ok(&manifest), "{shown}");
    }
}

#[test]
fn an_unknown_key_is_refused_with_its_line_and_a_suggestion() {
    check_line("[permision]", "line 3: unknown key `permision`; did you mean `permissions`?");
    check_line(
        "[permissions]\nmemmory = \"read\"",
        "line 4: unknown key `memmory` in `permissions`; did you mean `memory`?",
    );
    check_line("[limits]\nmemory_mb = 1", "line 4: unknown key `memory_mb` in `limits`; did you mean `memory_mib`?");
    check_line(
        "[permissions.http]\nqqq = 1",
        "line 4: unknown key `qqq` in `permissions.http`; known are `allow`, `secrets`",
    );
    check_line(
        "[config.url]\ntype = \"string\"\ndefualt = \"\"",
        "line 5: unknown key `defualt` in `config.url`; did you mean `default`?",
    );
}

#[test]
fn a_bad_value_says_where_what_and_what_is_allowed() {
    check_line("state = \"Kept\"", "line 3: `state` is \"Kept\", allowed are `fresh`, `kept`; did you mean \"kept\"?");
    check_line("description = 1", "line 3: `description` is a whole number, it must be a string");
    check_line("subscriptions = [\"a\",\n\"\"]", "line 4: `subscriptions[1]` is empty; name an event type");
    check_line("[limits]\nmemory_mib = 9999", "line 4: `limits.memory_mib` is 9999, allowed is 1 to 4096");
    check_line("[limits]\nfuel = -1", "line 4: `limits.fuel` is -1, allowed is 1 to 9223372036854775807");
    check_line(
        "[limits]\npark_after_ms = 3600001",
        "line 4: `limits.park_after_ms` is 3600001, allowed is 0 to 3600000",
    );
    check_line(
        "[limits]\ndeadline_ms = 1.5",
        "line 4: `limits.deadline_ms` is a number with a fraction, it must be a whole number",
    );
    check_line("[permissions]\nai = \"yes\"", "line 4: `permissions.ai` is a string, it must be true or false");
    check_line(
        "[config.a]\ntype = \"integer\"\ndefault = \"1\"",
        "line 5: `config.a.default` must be of the type integer, it is a string",
    );
    check_line(
        "[config.a]\ntype = \"number\"\ndefault = nan",
        "line 5: `config.a.default` is not a number that JSON has",
    );
    check_line("[config.a]\nrequired = true", "line 3: `config.a.type` is missing");
    check_line(
        "[config.a]\ntype = \"string\"\nrequired = true\ndefault = \"\"",
        "line 6: `config.a.default` makes no sense where `required` is true",
    );
    check_refused("version = \"1.0.0\"", "skill.toml: `name` is missing");
    check_refused("name = \"a\"", "skill.toml: `version` is missing");
    check_refused(
        "name = \"A b\"\nversion = \"1.0.0\"",
        "skill.toml line 1: `name` is \"A b\": `A b` is not a name: use 1 to 64 of a-z, 0-9, `-`, `_` and `.`, beginning with a letter or digit",
    );
    check_refused(
        "name = \"a\"\nversion = \"1\"",
        "skill.toml line 2: `version` is \"1\": unexpected end of input while parsing major version number",
    );
}

#[test]
fn http_rules_and_secrets_are_checked() {
    let secret = |allow: &str, host: &str, header: &str| {
        format!(
            "[permissions.http]\nallow = [{allow}]\n[[permissions.http.secrets]]\nname = \"T\"\nhost = \"{host}\"\nheader = \"{header}\""
        )
    };
    check_line(
        "[permissions.http]\nallow = [\"ftp://a.example\"]",
        "line 4: `permissions.http.allow[0]` is \"ftp://a.example\": `ftp://a.example` does not name where requests may go: the scheme is neither http nor https; write `host`, `*.suffix`, `http://host` or `host:port`",
    );
    check_line(
        &secret("\"a.example\"", "b.example", "x-token"),
        "line 7: `permissions.http.secrets[0].host` is not covered by any rule of `permissions.http.allow`; allow it or drop the secret",
    );
    check_line(
        &secret("\"*.example\"", "*.example", "x-token"),
        "line 7: `permissions.http.secrets[0].host` is a pattern; a secret goes to one exact host",
    );
    for header in RESERVED {
        check_line(
            &secret("\"a.example\"", "a.example", header),
            &format!(
                "line 8: `permissions.http.secrets[0].header` is \"{}\", which the host writes itself; use another header",
                header.to_ascii_lowercase()
            ),
        );
    }
    check_line(
        &secret("\"a.example\"", "a.example", "x token"),
        "line 8: `permissions.http.secrets[0].header` is not the name of an HTTP header",
    );
    let twice = format!(
        "{}\n{}",
        secret("\"a.example\"", "a.example", "X-Token"),
        "[[permissions.http.secrets]]\nname = \"U\"\nhost = \"a.example\"\nheader = \"x-token\""
    );
    check_line(&twice, "line 9: `permissions.http.secrets[1]` sends the header `x-token` that the secret `T` sends");

    // A secret for any port of a host is of use where one port is allowed.
    let covered =
        format!("name = \"a\"\nversion = \"1.0.0\"\n{}", secret("\"*.example:8443\"", "a.example:*", "x-token"));
    assert!(covered.parse::<Manifest>().is_ok());
}

const RESERVED: [&str; 6] = ["Host", "content-length", "Transfer-Encoding", "connection", "upgrade", "content-type"];

#[test]
fn a_manifest_above_the_ceiling_is_refused_unread() {
    let text = "#".repeat(ceilings::MANIFEST + 1);
    check_refused(&text, "skill.toml: the manifest has 65537 bytes, the most is 65536");
}

#[test]
fn settings_are_checked_against_the_schema() {
    let config = FULL.parse::<Manifest>().unwrap().config;
    let resolve = |values: serde_json::Value| {
        let values = values.as_object().unwrap();
        config.resolve(values).map_err(|error| error.to_string())
    };
    let resolved = resolve(json!({ "tries": 3 })).unwrap();
    assert_eq!(resolved["tries"], 3);
    assert_eq!(resolved["url"], "https://hooks.example.com/events");

    let refused = |values, message: &str| assert_eq!(resolve(values), Err(message.to_owned()));
    refused(json!({}), "the setting `tries` (integer) is required and not set");
    refused(json!({ "tries": 1.5 }), "the setting `tries` must be of type integer, it is a number with a fraction");
    refused(json!({ "tries": 1, "ulr": "" }), "the skill has no setting `ulr`; did you mean `url`?");
    refused(json!({ "tries": 1, "zzzzzz": "" }), "the skill has no setting `zzzzzz`; it has shape, tries, url");
}

/// Changes the full manifest in thousands of ways. What comes out is a manifest or an error, and never a panic; and what
/// parses is shown as a text that parses back to it.
#[test]
fn no_text_makes_the_parser_panic() {
    let mut random = 0x9E37_79B9_7F4A_7C15_u64;
    let mut next = |below: usize| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        usize::try_from(random % below as u64).expect("it is below a usize")
    };
    let pieces: Vec<char> = "\"'[]{}=.#,\n\\-_0aé\u{0}\u{202e}=[[]]tfei9:*@/".chars().collect();
    let (mut parsed, mut refused) = (0, 0);
    for _ in 0..20_000 {
        let mut text: Vec<char> = FULL.chars().collect();
        for _ in 0..1 + next(4) {
            let at = next(text.len().max(2) - 1);
            match next(4) {
                0 if at < text.len() => drop(text.remove(at)),
                1 if at < text.len() => text[at] = pieces[next(pieces.len())],
                2 => text.insert(at, pieces[next(pieces.len())]),
                _ => text.truncate(at.max(1)),
            }
        }
        match text.iter().collect::<String>().parse::<Manifest>() {
            Err(error) => {
                assert!(!error.message().is_empty());
                refused += 1;
            }
            Ok(manifest) => {
                assert_eq!(manifest.to_string().parse::<Manifest>().as_ref(), Ok(&manifest));
                parsed += 1;
            }
        }
    }
    assert!(parsed > 100 && refused > 100, "{parsed} parsed, {refused} refused");
    for deep in ["a = ".to_owned() + &"[".repeat(5000), "[config.a]\ndefault = ".to_owned() + &"{a=".repeat(5000)] {
        assert!(deep.parse::<Manifest>().is_err());
    }
}
