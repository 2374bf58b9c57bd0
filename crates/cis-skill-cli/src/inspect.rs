//! `inspect`: what a skill says of itself.

use std::collections::BTreeMap;
use std::fmt;
use std::process::ExitCode;

use cis_skill::{Manifest, SkillLimits};
use cis_wasm_abi::{EXPORT_MEMORY, EXPORTS, IMPORT_MODULE, import};
use cis_wasm_runtime::{Inspection, inspect as look, manifest_section};
use serde_json::{Value as Json, json};

use crate::cli::InspectArgs;
use crate::print::{self, harmless};
use crate::run::read;

/// Prints what a module says of itself. Says so, and fails, when it cannot be read.
pub(crate) fn inspect(args: &InspectArgs) -> ExitCode {
    let printed = match Findings::of(args) {
        Ok(findings) if args.json => print::json(&findings.json()),
        Ok(findings) => print::text(&findings.to_string()),
        Err(message) => {
            eprintln!("error: {}", harmless(&message));
            return ExitCode::FAILURE;
        }
    };
    if printed.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

struct Findings {
    module: Inspection,
    /// The manifest as it holds, defaults written out.
    manifest: Option<Manifest>,
}

impl Findings {
    fn of(args: &InspectArgs) -> Result<Self, String> {
        let wasm = read(&args.skill, "inspect")?;
        let module = look(&wasm).map_err(|error| error.to_string())?;
        let manifest = match manifest_section(&wasm).map_err(|error| error.to_string())? {
            Some(text) => {
                Some(text.parse::<Manifest>().map_err(|error| format!("the manifest in the module: {error}"))?)
            }
            None => None,
        };
        Ok(Findings { module, manifest })
    }

    fn json(&self) -> Json {
        let imports = self.module.imports.iter();
        let sections = self.module.sections.iter();
        json!({
            "bytes": self.module.bytes,
            "functions": self.module.functions,
            "sections": sections.map(|(name, bytes)| json!({ "name": name, "bytes": bytes })).collect::<Vec<_>>(),
            "imports": imports.map(|(module, name)| json!({
                "module": module, "name": name, "needs": needs(module, name),
            })).collect::<Vec<_>>(),
            "exports": self.module.exported_functions,
            "other_exports": self.module.other_exports,
            "memory_pages": self.module.memory_pages.map(|(initial, maximum)| json!({
                "initial": initial, "maximum": maximum,
            })),
            "manifest": self.manifest.as_ref().map(ToString::to_string),
            "limits": self.limits().entries().collect::<BTreeMap<_, _>>(),
        })
    }

    /// The limits that hold unless whoever loads the skill narrows them.
    fn limits(&self) -> SkillLimits {
        self.manifest.as_ref().map(|manifest| manifest.limits).unwrap_or_default()
    }
}

impl fmt::Display for Findings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let module = &self.module;
        writeln!(f, "{} bytes, {} functions of its own", module.bytes, module.functions)?;
        for (name, bytes) in &module.sections {
            writeln!(f, "  {bytes:>9}  {}", harmless(name))?;
        }
        writeln!(f, "\nimports")?;
        for (from, name) in &module.imports {
            writeln!(f, "  {}.{}: {}", harmless(from), harmless(name), needs(from, name))?;
        }
        writeln!(f, "\nexports")?;
        for name in &module.exported_functions {
            writeln!(f, "  {}: {}", harmless(name), role(name))?;
        }
        for name in &module.other_exports {
            writeln!(f, "  {}", harmless(name))?;
        }
        if let Some((initial, maximum)) = module.memory_pages {
            let kib = |pages: u64| pages.saturating_mul(64);
            let maximum = maximum.map_or("no maximum of its own".into(), |pages| format!("at most {} KiB", kib(pages)));
            writeln!(f, "\nmemory\n  {} KiB at the start, {maximum}", kib(initial))?;
        }
        if let Some(manifest) = &self.manifest {
            return write!(f, "\nmanifest\n{}", indented(&manifest.to_string()));
        }
        writeln!(f, "\nno manifest: the skill has its own memory, its log and the default limits\n")?;
        self.limits().entries().try_for_each(|(name, limit)| writeln!(f, "  {name} = {limit}"))
    }
}

fn needs(module: &str, name: &str) -> String {
    match import(name).filter(|_| module == IMPORT_MODULE) {
        Some(known) => format!("needs {}", known.needs),
        None => "the host does not have this: the skill will be refused".into(),
    }
}

fn role(name: &str) -> &'static str {
    match EXPORTS.iter().find(|export| export.name == name) {
        Some(known) => known.doc,
        None if name == EXPORT_MEMORY => "must be a memory: the skill will be refused",
        None => "not called by the host",
    }
}

fn indented(text: &str) -> String {
    text.lines().map(|line| format!("{}\n", format!("  {}", harmless(line)).trim_end())).collect()
}
