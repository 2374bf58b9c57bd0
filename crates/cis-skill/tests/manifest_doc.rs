//! `docs/manifest.md` says what holds.

use cis_skill::Manifest;

const DOC: &str = include_str!("../../../docs/manifest.md");

/// The blocks of TOML in the page.
fn blocks() -> Vec<&'static str> {
    DOC.split("```toml\n").skip(1).map(|rest| rest.split("```").next().unwrap()).collect()
}

#[test]
fn what_it_gives_as_defaults_are_the_defaults() {
    let written: Manifest = blocks()[0].parse().unwrap();
    let said_nothing: Manifest = "name = \"example\"\nversion = \"0.1.0\"".parse().unwrap();
    assert_eq!(written, said_nothing);
    for (limit, _) in said_nothing.limits.entries() {
        assert!(blocks()[0].contains(&format!("\n{limit} = ")), "`{limit}` is missing");
    }
}

#[test]
fn its_other_examples_parse() {
    let [_, secrets, settings] = blocks()[..] else { panic!("the page has other examples") };
    let base = "name = \"example\"\nversion = \"0.1.0\"\n[permissions.http]\nallow = [\"hooks.example.com\"]\n";
    let manifest: Manifest = format!("{base}{secrets}{settings}").parse().unwrap();
    assert_eq!(manifest.permissions.secrets.len(), 1);
    assert!(manifest.config.setting("url").is_some());
}

#[test]
fn its_rules_parse() {
    let rules = DOC.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next());
    let rules: Vec<_> = rules.map(|rule| rule.parse::<cis_skill::HttpRule>().unwrap()).collect();
    assert_eq!(rules.len(), 4);
}
