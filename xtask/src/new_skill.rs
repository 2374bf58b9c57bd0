//! Starts a new skill that builds, tests and runs at once.

use std::path::{Path, PathBuf};

use crate::cli::{Lang, NewSkill};
use crate::failure::Failure;
use crate::repo::{self, Repo};

/// What the template files hold in the place of what differs.
const NAME: &str = "__NAME__";
const TYPE: &str = "__TYPE__";
const SDK: &str = "__SDK__";

/// Names that a Rust library cannot have, or that would hide what the template uses.
const TAKEN: [&str; 12] =
    ["alloc", "cis-skill-sdk", "core", "crate", "proc-macro", "self", "serde", "std", "super", "test", "type", "use"];

/// Creates a skill's folder.
pub(crate) fn create(repo: &Repo, args: &NewSkill) -> Result<(), Failure> {
    let name = args.name.as_str();
    check_name(name).map_err(Failure::said)?;
    let parent = args.path.clone().unwrap_or_else(|| repo.skills());
    let folder = parent.join(name);
    if folder.exists() {
        return Err(Failure::at(&folder, "is there already; choose another name, or remove it first"));
    }
    // Rust skills beside the others share their workspace: one lock file, one target folder, one profile.
    let member = args.lang == Lang::Rust && same_folder(&parent, &repo.skills());
    for (path, text) in files(repo, args.lang, name, member) {
        repo::write(&folder.join(path), text)?;
    }
    if member {
        register(&repo.skills().join("Cargo.toml"), name)?;
    }
    eprint!("{}", next_steps(&folder, args.lang));
    println!("{}", folder.display());
    Ok(())
}

fn check_name(name: &str) -> Result<(), String> {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let head = name.bytes().next().is_some_and(|byte| byte.is_ascii_lowercase());
    if !head || !name.bytes().all(plain) || name.len() > 64 || name.ends_with('-') {
        return Err(format!("`{name}` is not a name for a skill: use 1 to 64 of a-z, 0-9 and `-`, a letter first"));
    }
    if TAKEN.contains(&name) {
        return Err(format!("`{name}` is a name that Rust or the SDK needs; choose another"));
    }
    Ok(())
}

/// Every file of a new skill, by its path in the skill's folder.
fn files(repo: &Repo, lang: Lang, name: &str, member: bool) -> Vec<(&'static str, String)> {
    let filled = |template: &str| {
        let sdk = toml::Value::from(repo.path("crates/cis-skill-sdk").to_string_lossy().into_owned()).to_string();
        template.replace(NAME, name).replace(TYPE, &type_name(name)).replace(SDK, &sdk)
    };
    let manifest = ("skill.toml", filled(include_str!("../templates/skill.toml")));
    match lang {
        Lang::C => vec![manifest, ("skill.c", filled(include_str!("../templates/c/skill.c")))],
        Lang::Rust => {
            let cargo = match member {
                true => include_str!("../templates/rust/member.toml"),
                false => include_str!("../templates/rust/standalone.toml"),
            };
            let library = filled(include_str!("../templates/rust/lib.rs"));
            vec![manifest, ("Cargo.toml", filled(cargo)), ("src/lib.rs", library)]
        }
    }
}

/// `my-notes` as `MyNotes`.
fn type_name(name: &str) -> String {
    let word = |word: &str| {
        let (head, tail) = word.split_at(word.len().min(1));
        head.to_uppercase() + tail
    };
    let type_name: String = name.split('-').map(word).collect();
    // The prelude's names are taken.
    match type_name.as_str() {
        "Ai" | "Box" | "Config" | "Error" | "Event" | "Greet" | "Greeting" | "Http" | "Level" | "Log" | "Memory"
        | "Response" | "Skill" | "Status" | "String" | "Vec" | "Result" | "Option" | "Ok" | "Err" | "Some" | "None"
        | "Self" | "Default" => type_name + "Skill",
        _ => type_name,
    }
}

fn same_folder(one: &Path, other: &Path) -> bool {
    match (one.canonicalize(), other.canonicalize()) {
        (Ok(one), Ok(other)) => one == other,
        _ => one == other,
    }
}

/// Adds a member to the workspace of the skills.
fn register(manifest: &Path, name: &str) -> Result<(), Failure> {
    let text = repo::read(manifest)?;
    let text = with_member(&text, name)
        .ok_or_else(|| Failure::at(manifest, format!("`members` could not be read; add \"{name}\" to it by hand")))?;
    repo::write(manifest, text)
}

/// A workspace's manifest with one more member, the rest left as its author wrote it.
fn with_member(manifest: &str, name: &str) -> Option<String> {
    let listed = |manifest: &str| {
        let table: toml::Table = manifest.parse().ok()?;
        let members = table.get("workspace")?.get("members")?.as_array()?.clone();
        members.iter().map(|member| member.as_str().map(str::to_owned)).collect::<Option<Vec<_>>>()
    };
    let mut members = listed(manifest)?;
    members.push(name.to_owned());
    members.sort();
    let (before, rest) = manifest.split_once("members = [")?;
    let (old, after) = rest.split_once(']')?;
    let indent = if old.contains('\n') { ("\n    ", ",\n    ", ",\n") } else { ("", ", ", "") };
    let list = members.iter().map(|member| format!("\"{member}\"")).collect::<Vec<_>>().join(indent.1);
    let new = format!("{before}members = [{}{list}{}]{after}", indent.0, indent.2);
    // Comments between members are beyond this; a manifest that does not come out right is left alone.
    (listed(&new)? == members && !old.contains('#')).then_some(new)
}

fn next_steps(folder: &Path, lang: Lang) -> String {
    let path = shown(folder);
    let path = path.display();
    let (test, data) = match lang {
        Lang::C => (String::new(), r#""Ada""#),
        Lang::Rust => (format!("  cargo test --manifest-path {path}/Cargo.toml\n"), r#"{"name":"Ada"}"#),
    };
    format!(
        "created {path}; now:\n{test}  cargo xtask run-skill {path} --event greet --data '{data}' --data-dir target/try\n"
    )
}

/// The path as seen from where the command runs, when it lies below.
fn shown(folder: &Path) -> PathBuf {
    let here = std::env::current_dir().ok();
    here.and_then(|here| folder.strip_prefix(here).ok()).unwrap_or(folder).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_checked() {
        for good in ["notes", "a", "my-notes-2"] {
            assert_eq!(check_name(good), Ok(()), "{good}");
        }
        for bad in ["", "-a", "a-", "2a", "Notes", "a_b", "a/b", "..", "serde", "type", &"a".repeat(65)] {
            assert!(check_name(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_name_becomes_a_type() {
        assert_eq!([type_name("my-notes"), type_name("a--b2"), type_name("event")], ["MyNotes", "AB2", "EventSkill"]);
    }

    #[test]
    fn nothing_is_left_to_fill_in() {
        let repo = Repo::at(PathBuf::from("checkout"));
        for (lang, member) in [(Lang::Rust, true), (Lang::Rust, false), (Lang::C, false)] {
            for (path, text) in files(&repo, lang, "my-notes", member) {
                assert!(!text.contains("__"), "{path}: {text}");
            }
        }
    }

    #[test]
    fn a_member_is_added_in_its_place() {
        let short = "# Skills.\n[workspace]\nmembers = [\"a\", \"c\"]\n\n[profile.release]\n";
        let expected = "# Skills.\n[workspace]\nmembers = [\"a\", \"b\", \"c\"]\n\n[profile.release]\n";
        assert_eq!(with_member(short, "b").as_deref(), Some(expected));
        let long = "[workspace]\nmembers = [\n    \"a\",\n]\n";
        assert_eq!(with_member(long, "b").unwrap(), "[workspace]\nmembers = [\n    \"a\",\n    \"b\",\n]\n");
        for odd in ["[workspace]\n", "[workspace]\nmembers = [\"a\", # [x]\n\"c\"]\n", "no TOML"] {
            assert_eq!(with_member(odd, "b"), None, "{odd}");
        }
    }
}
