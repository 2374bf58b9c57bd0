//! The generated tables of `docs/abi.md`: what the crate knows stands in the document exactly once, and is true.
//!
//! A table lies between `<!-- generated: NAME -->` and `<!-- end generated -->`. The prose around it is written by hand.

use std::path::PathBuf;

use cis_wasm_abi::{EXPORTS, IMPORTS, Level, Param, Status, ValType, ceilings};

use crate::failure::Failure;
use crate::repo::{self, Repo};

const END: &str = "<!-- end generated -->";

/// Where the document lies.
pub(crate) fn path(repo: &Repo) -> PathBuf {
    repo.path("docs/abi.md")
}

/// Rewrites the tables.
pub(crate) fn write(repo: &Repo) -> Result<(), Failure> {
    let path = path(repo);
    let text = refreshed(&repo::read(&path)?, &docs_of_ceilings(repo)?).map_err(|why| Failure::at(&path, why))?;
    repo::write(&path, text)?;
    eprintln!("wrote {}", path.display());
    Ok(())
}

/// The document with fresh tables. `ceilings_source` is the source of the module that defines them: their descriptions
/// are its comments.
pub(crate) fn refreshed(document: &str, ceilings_source: &str) -> Result<String, String> {
    let tables: [(&str, String); 5] = [
        ("imports", imports()),
        ("exports", exports()),
        ("statuses", statuses()),
        ("levels", levels()),
        ("ceilings", ceilings(ceilings_source)?),
    ];
    tables.iter().try_fold(document.to_owned(), |document, (name, table)| replaced(&document, name, table))
}

/// The source that describes the ceilings.
pub(crate) fn docs_of_ceilings(repo: &Repo) -> Result<String, Failure> {
    repo::read(&repo.path("crates/cis-wasm-abi/src/ceilings.rs"))
}

fn replaced(document: &str, name: &str, table: &str) -> Result<String, String> {
    let start = format!("<!-- generated: {name} -->");
    let Some((before, rest)) = document.split_once(&start) else {
        return Err(format!("the line `{start}` is missing"));
    };
    let Some((_, after)) = rest.split_once(END) else { return Err(format!("`{END}` is missing after `{start}`")) };
    Ok(format!("{before}{start}\n{table}{END}{after}"))
}

fn imports() -> String {
    let mut table =
        "| import | result | what it does | what the manifest has to grant |\n|---|---|---|---|\n".to_owned();
    for import in &IMPORTS {
        let result = import.result.map_or("", wasm_type);
        let signature = format!("`{}({})`", import.name, parameters(import.params));
        let needs = if import.needs == "nothing" { "nothing".to_owned() } else { needs(import.needs) };
        table += &format!("| {signature} | {result} | {} | {needs} |\n", import.doc);
    }
    table
}

/// A manifest line in code style, words as they are.
fn needs(text: &str) -> String {
    text.split(" or ")
        .map(|part| match part.split_once(" with ") {
            Some((key, rest)) => format!("`{key}` with {rest}"),
            None => format!("`{part}`"),
        })
        .collect::<Vec<_>>()
        .join(" or ")
}

fn exports() -> String {
    let mut table = "| export | result | required | what it is |\n|---|---|---|---|\n".to_owned();
    table += "| `memory` | | yes | The linear memory. |\n";
    for export in &EXPORTS {
        let results: Vec<_> = export.results.iter().map(|result| wasm_type(*result)).collect();
        let required = if export.required { "yes" } else { "" };
        let signature = format!("`{}({})`", export.name, parameters(export.params));
        table += &format!("| {signature} | {} | {required} | {} |\n", results.join(" or "), export.doc);
    }
    table
}

fn statuses() -> String {
    let mut table = "| code | name | meaning |\n|---|---|---|\n".to_owned();
    for status in Status::ALL {
        table += &format!("| {} | `{}` | {} |\n", status.code(), status.name(), status.meaning());
    }
    table
}

fn levels() -> String {
    let mut table = "| number | level |\n|---|---|\n".to_owned();
    for level in Level::ALL {
        table += &format!("| {} | {} |\n", level as i32, level.name());
    }
    table
}

fn parameters(params: &[Param]) -> String {
    params.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ")
}

fn wasm_type(ty: ValType) -> &'static str {
    match ty {
        ValType::I32 => "i32",
        ValType::I64 => "i64",
    }
}

macro_rules! values_of {
    ($($name:ident),*) => { [$((stringify!($name), ceilings::$name)),*] };
}

/// The value of every ceiling by its name.
const CEILINGS: [(&str, usize); 14] = values_of!(
    KEY, VALUE, KEY_LIST, PROMPT, URL, HTTP_BODY, REPLY, LOG_LINE, ERROR_TEXT, EVENT_TYPE, EVENT_DATA, RESPONSE,
    MODULE, MANIFEST
);

fn ceilings(source: &str) -> Result<String, String> {
    let mut table = "| ceiling | bytes | what it bounds |\n|---|---|---|\n".to_owned();
    let mut doc = String::new();
    let mut described = 0;
    for line in source.lines() {
        if let Some(text) = line.strip_prefix("/// ") {
            doc.push_str(if doc.is_empty() { "" } else { " " });
            doc.push_str(text);
            continue;
        }
        if let Some(name) = line.strip_prefix("pub const ").and_then(|rest| rest.split(':').next()) {
            let Some((_, value)) = CEILINGS.iter().find(|(known, _)| *known == name) else {
                return Err(format!("the ceiling {name} is not in the table of xtask/src/abi_doc.rs; add it"));
            };
            table += &format!("| `{name}` | {} | {doc} |\n", size(*value));
            described += 1;
        }
        doc.clear();
    }
    if described != CEILINGS.len() {
        return Err(format!("{described} of {} ceilings were found in the source", CEILINGS.len()));
    }
    Ok(table)
}

/// A number of bytes, with the unit that makes it short.
fn size(bytes: usize) -> String {
    match bytes {
        bytes if bytes.is_multiple_of(1 << 20) => format!("{} ({} MiB)", bytes, bytes >> 20),
        bytes if bytes.is_multiple_of(1 << 10) => format!("{} ({} KiB)", bytes, bytes >> 10),
        bytes => bytes.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_replaced_and_nothing_else() {
        let document = "a\n<!-- generated: levels -->\nold\n<!-- end generated -->\nb\n";
        let fresh = replaced(document, "levels", "new\n").unwrap();
        assert_eq!(fresh, "a\n<!-- generated: levels -->\nnew\n<!-- end generated -->\nb\n");
        assert!(replaced(document, "statuses", "").is_err());
        assert!(replaced("<!-- generated: levels -->", "levels", "").is_err());
    }

    #[test]
    fn a_ceiling_without_a_value_here_is_refused() {
        let problem = ceilings("/// New.\npub const NEW: usize = 1;\n").unwrap_err();
        assert!(problem.contains("NEW"), "{problem}");
        assert!(ceilings("").is_err());
    }

    #[test]
    fn sizes_read_short() {
        assert_eq!([size(512), size(8192), size(8 << 20)], ["512", "8192 (8 KiB)", "8388608 (8 MiB)"]);
    }

    #[test]
    fn grants_stand_as_code() {
        assert_eq!(needs("a = \"read\" or \"read-write\""), "`a = \"read\"` or `\"read-write\"`");
        assert_eq!(needs("a.allow with the host"), "`a.allow` with the host");
    }
}
