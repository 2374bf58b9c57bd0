//! Rules about Rust sources.

use crate::tidy::Finding;
use crate::tidy::code;
use crate::tidy::files::{File, lines};

/// What stands in code only while it is not done.
const UNFINISHED: [(&str, &str); 5] = [
    ("todo!", "write what it stands for"),
    ("unimplemented!", "write what it stands for, or return an error"),
    ("dbg!", "take it out"),
    ("#[ignore", "a test that does not run tests nothing: mend it or delete it"),
    ("should_panic", "assert on the error, or on what `catch_unwind` gives"),
];

/// No stubs, and no tests that are switched off.
pub(crate) fn nothing_unfinished(file: &File) -> Vec<Finding> {
    let Some(text) = file.text_if(".rs") else { return Vec::new() };
    let code = code::only(text);
    let mut findings = Vec::new();
    for (number, line) in lines(&code) {
        for (needle, advice) in UNFINISHED {
            if line.contains(needle) {
                findings.push(Finding::new(format!("{}:{number}", file.path), format!("`{needle}`: {advice}")));
            }
        }
    }
    findings
}

/// A file with `unsafe` in it opens with the invariant that makes it sound: the word stands in its module's
/// documentation, the `//!` lines at the top.
pub(crate) fn unsafe_states_its_invariant(file: &File) -> Vec<Finding> {
    let Some(text) = file.text_if(".rs") else { return Vec::new() };
    if !code::has_word(&code::only(text), "unsafe") {
        return Vec::new();
    }
    let mut opening = text.lines().take_while(|line| line.starts_with("//!"));
    if opening.any(|line| line.to_lowercase().contains("invariant")) {
        return Vec::new();
    }
    let problem = "has `unsafe`, but its opening `//!` lines state no invariant; add `//! Invariant: ...`";
    vec![Finding::new(&file.path, problem)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::files::tests::file;

    #[test]
    fn unfinished_code_is_found() {
        for (line, needle) in [
            ("fn f() { todo!() }", "todo!"),
            ("unimplemented!(\"x\")", "unimplemented!"),
            ("dbg!(x);", "dbg!"),
            ("#[ignore = \"slow\"]", "#[ignore"),
            ("#[should_panic(expected = \"x\")]", "should_panic"),
        ] {
            let found = nothing_unfinished(&file("src/a.rs", &format!("\n{line}\n")));
            assert_eq!(found.len(), 1, "{line}");
            assert_eq!(found[0].place, "src/a.rs:2");
            assert!(found[0].problem.contains(needle), "{line}");
        }
        assert!(nothing_unfinished(&file("src/a.rs", "// todo!()\nlet x = \"dbg!(x)\";")).is_empty());
        assert!(nothing_unfinished(&file("a.md", "todo!()")).is_empty());
    }

    #[test]
    fn unsafe_without_an_invariant_is_found() {
        let bare = "//! Memory.\n\nfn f() { unsafe { g() } }\n";
        assert_eq!(unsafe_states_its_invariant(&file("a.rs", bare)).len(), 1);
        let elsewhere = "//! Memory.\n\n// Invariant: none.\nunsafe impl Send for X {}\n";
        assert_eq!(unsafe_states_its_invariant(&file("a.rs", elsewhere)).len(), 1);
        let stated = "//! Memory.\n//!\n//! Invariant: g is fine.\n\nfn f() { unsafe { g() } }\n";
        assert!(unsafe_states_its_invariant(&file("a.rs", stated)).is_empty());
        let named = "#![forbid(unsafe_code)]\n// unsafe\nconst X: &str = \"unsafe\";";
        assert!(unsafe_states_its_invariant(&file("a.rs", named)).is_empty());
    }
}
