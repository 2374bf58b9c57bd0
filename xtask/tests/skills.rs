//! The commands for authors, run as an author runs them: a skill is started, tested and built.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use wasmparser::{Parser, Payload};

/// A folder for one test, empty.
fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    if folder.exists() {
        fs::remove_dir_all(&folder).unwrap();
    }
    fs::create_dir_all(&folder).unwrap();
    folder
}

fn xtask(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_xtask")).args(args).output().unwrap()
}

#[track_caller]
fn succeeds(output: &Output) -> String {
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    String::from_utf8(output.stdout.clone()).unwrap()
}

#[track_caller]
fn fails_with(output: &Output, text: &str) {
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && said.contains(text), "`{text}` is not in: {said}");
    assert!(output.stdout.is_empty(), "a failure prints nothing on stdout");
}

/// Builds a skill and gives its module, whose path is the last line on stdout.
#[track_caller]
fn build(skill: &Path, args: &[&str]) -> Vec<u8> {
    let out = skill.join("out.wasm");
    let stdout = succeeds(&xtask(&[&["build-skill", text(skill), "--out", text(&out)], args].concat()));
    assert_eq!(stdout.lines().last(), Some(text(&out)));
    fs::read(out).unwrap()
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn imports(module: &[u8]) -> Vec<String> {
    let mut names = Vec::new();
    for payload in Parser::new(0).parse_all(module) {
        if let Payload::ImportSection(imports) = payload.unwrap() {
            names.extend(imports.into_imports().map(|import| {
                let import = import.unwrap();
                format!("{}.{}", import.module, import.name)
            }));
        }
    }
    names
}

fn exports(module: &[u8]) -> Vec<String> {
    let mut names = Vec::new();
    for payload in Parser::new(0).parse_all(module) {
        if let Payload::ExportSection(exports) = payload.unwrap() {
            names.extend(exports.into_iter().map(|export| export.unwrap().name.to_owned()));
        }
    }
    names
}

fn custom_sections(module: &[u8]) -> Vec<(String, Vec<u8>)> {
    let mut sections = Vec::new();
    for payload in Parser::new(0).parse_all(module) {
        if let Payload::CustomSection(section) = payload.unwrap() {
            sections.push((section.name().to_owned(), section.data().to_vec()));
        }
    }
    sections
}

/// Whether C can be built here. Where it must be, it not being so is a failure.
fn clang() -> bool {
    let found = ["clang", "wasm-ld"].iter().all(|tool| Command::new(tool).arg("--version").output().is_ok());
    if !found {
        assert!(std::env::var_os("CIS_REQUIRE_CLANG").is_none(), "clang or wasm-ld is missing");
        // Past the capture of a test's output: this is to be seen although the test passes.
        let note = b"LEFT OUT: clang or wasm-ld is missing; `apt-get install clang lld`\n";
        std::io::stderr().write_all(note).unwrap();
    }
    found
}

/// A skill of one C file.
fn c_skill(name: &str, source: &str) -> PathBuf {
    let folder = folder(name);
    fs::write(folder.join("skill.toml"), format!("name = \"{name}\"\nversion = \"0.1.0\"\n")).unwrap();
    fs::write(folder.join("skill.c"), source).unwrap();
    folder
}

/// The code of a Markdown document in one language.
fn code_blocks<'d>(document: &'d str, language: &str) -> Vec<&'d str> {
    let fence = format!("\n```{language}\n");
    document.split(&fence).skip(1).map(|rest| rest.split("\n```").next().unwrap()).collect()
}

#[test]
fn a_new_rust_skill_is_tested_and_built() {
    let parent = folder("new-rust");
    let created = succeeds(&xtask(&["new-skill", "my-hello", "--path", text(&parent)]));
    let skill = parent.join("my-hello");
    assert_eq!(created.trim_end(), text(&skill));
    // The versions that the sample skills are built with.
    let lock = Path::new(env!("CARGO_MANIFEST_DIR")).join("../skills/Cargo.lock");
    fs::copy(lock, skill.join("Cargo.lock")).unwrap();

    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["test", "--quiet"]).current_dir(&skill).env("CARGO_TARGET_DIR", parent.join("target"));
    assert!(succeeds(&cargo.output().unwrap()).contains("2 passed"));

    let module = build(&skill, &[]);
    assert!(exports(&module).contains(&"skill_on_event".to_owned()));
    assert!(imports(&module).iter().all(|name| name.starts_with("env.host_")));
    let manifest = fs::read(skill.join("skill.toml")).unwrap();
    assert_eq!(custom_sections(&module), [("cis.skill.manifest".to_owned(), manifest)]);
    let named = build(&skill, &["--keep-names"]);
    assert_eq!(custom_sections(&named)[0].0, "name");

    let here = env!("CARGO_MANIFEST_DIR").trim_end_matches("xtask").as_bytes();
    assert!(!module.windows(here.len()).any(|window| window == here), "a built skill names no path of this machine");
}

#[test]
fn a_new_c_skill_is_built() {
    if !clang() {
        return;
    }
    let parent = folder("new-c");
    succeeds(&xtask(&["new-skill", "c-hello", "--lang", "c", "--path", text(&parent)]));
    let module = build(&parent.join("c-hello"), &[]);
    assert_eq!(exports(&module), ["memory", "skill_on_event"]);
    assert_eq!(imports(&module).len(), 4);
}

#[test]
fn a_skill_is_not_overwritten_and_a_bad_name_is_refused() {
    let parent = folder("refused");
    fs::create_dir(parent.join("there")).unwrap();
    fails_with(&xtask(&["new-skill", "there", "--path", text(&parent)]), "is there already");
    fails_with(&xtask(&["new-skill", "../up", "--path", text(&parent)]), "not a name");
    assert_eq!(fs::read_dir(&parent).unwrap().count(), 1);
    fails_with(&xtask(&["build-skill", text(&parent)]), "no skill.toml");
}

#[test]
fn the_c_of_the_abi_document_builds() {
    if !clang() {
        return;
    }
    let document = include_str!("../../docs/abi.md");
    let [example] = code_blocks(document, "c")[..] else { panic!("the document has one example in C") };
    let module = build(&c_skill("abi-example", example), &["--keep-names"]);
    let sections: Vec<_> = custom_sections(&module).into_iter().map(|(name, _)| name).collect();
    assert_eq!(sections, ["name", "cis.skill.manifest"]);
}

/// The declarations of the document that the ABI grew from, as they stand there.
const DECLARATIONS: &str = "
extern int64_t host_memory_get(int32_t key_ptr, int32_t key_len);
extern int32_t host_memory_set(int32_t key_ptr, int32_t key_len, 
                               int32_t val_ptr, int32_t val_len);
extern void host_log(int32_t level, int32_t msg_ptr, int32_t msg_len);
void decode_result(int64_t result, int32_t* ptr, int32_t* len) {
    *ptr = (int32_t)(result >> 32);
    *len = (int32_t)(result & 0xFFFFFFFF);
}
";

const HANDLER: &str = "
int64_t skill_on_event(int32_t type_ptr, int32_t type_len, int32_t data_ptr, int32_t data_len) {
    int32_t ptr, len;
    decode_result(host_memory_get(type_ptr, type_len), &ptr, &len);
    host_log(1, ptr, len);
    return 0;
}
";

#[test]
fn the_header_agrees_with_declarations_before_it_and_after_it() {
    if !clang() {
        return;
    }
    let include = "#include <stdint.h>\n#include \"cis_skill.h\"\n";
    for (name, source) in [
        ("declared-after", format!("{include}{DECLARATIONS}{HANDLER}")),
        ("declared-before", format!("#include <stdint.h>\n{DECLARATIONS}{include}{HANDLER}")),
        ("without-header", format!("#include <stdint.h>\n{DECLARATIONS}{HANDLER}")),
    ] {
        let module = build(&c_skill(name, &source), &[]);
        assert_eq!(imports(&module), ["env.host_memory_get", "env.host_log"], "{name}");
        assert_eq!(exports(&module), ["memory", "skill_on_event"], "{name}");
    }
}

#[test]
fn c_that_cannot_run_is_refused_when_it_is_built() {
    if !clang() {
        return;
    }
    let unknown = "#include \"cis_skill.h\"\nvoid host_exec(void);\nint32_t skill_on_event(int32_t a, int32_t b, int32_t \
                   c, int32_t d) { host_exec(); return 0; }\n";
    fails_with(&xtask(&["build-skill", text(&c_skill("unknown-import", unknown))]), "undefined symbol: host_exec");
    let no_handler = "#include \"cis_skill.h\"\nint f(void) { return 0; }\n";
    fails_with(&xtask(&["build-skill", text(&c_skill("no-handler", no_handler))]), "skill_on_event");
}

#[test]
fn optional_exports_are_exported_where_they_are_defined() {
    if !clang() {
        return;
    }
    let source = format!(
        "#include \"cis_skill.h\"\n{DECLARATIONS}{HANDLER}\nint32_t cis_abi_version(void) {{ return CIS_ABI_VERSION; }}\n\
         CIS_EXPORT(\"skill_init\") int32_t start(void) {{ return 0; }}\n"
    );
    let mut names = exports(&build(&c_skill("optional", &source), &[]));
    names.sort();
    assert_eq!(names, ["cis_abi_version", "memory", "skill_init", "skill_on_event"]);
}

/// What loading would say of the module is said before there is one: the code here is none that compiles.
#[test]
fn a_manifest_that_no_host_takes_is_refused_before_anything_is_built() {
    let skill = c_skill("bad-manifest", "this is no C\n");
    for (line, said) in [
        ("[permision]\nai = true", "skill.toml line 3: unknown key `permision`; did you mean `permissions`?"),
        ("permissions.memory = \"all\"", "skill.toml line 3: `permissions.memory` is \"all\""),
        ("permissions.http.allow = [\"http://\"]", "skill.toml line 3: "),
        ("limits.fuel = -1", "skill.toml line 3: `limits.fuel` "),
        ("subscriptions = [\"\"]", "is empty; name an event type"),
        ("state = \"keep\"", "skill.toml line 3: `state` is \"keep\""),
    ] {
        fs::write(skill.join("skill.toml"), format!("name = \"bad\"\nversion = \"0.1.0\"\n{line}\n")).unwrap();
        fails_with(&xtask(&["build-skill", text(&skill)]), said);
    }
    fs::write(skill.join("skill.toml"), "name = \"../bad\"\nversion = \"0.1.0\"\n").unwrap();
    fails_with(&xtask(&["build-skill", text(&skill)]), "skill.toml line 1: `name` is \"../bad\"");
}
