//! `inspect`: what a skill says of itself.

use std::process::ExitCode;

use cis_skill::Manifest;
use cis_wasm_abi::{EXPORT_MEMORY, EXPORTS, IMPORT_MODULE, import};
use cis_wasm_runtime::{Inspection, inspect as look, manifest_section};
use serde_json::{Value as Json, json};

use crate::cli::InspectArgs;
use crate::print::harmless;
use crate::run::read;

/// Prints what a module says of itself. Says so, and fails, when it could not be loaded.
pub(crate) fn inspect(args: &InspectArgs) -> ExitCode {
    match Findings::of(args) {
        Ok(findings) if args.json => println!("{}", findings.json()),
        Ok(findings) => findings.print(),
        Err(message) => {
            eprintln!("error: {message}");
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}

struct Findings {
    module: Inspection,
    /// The manifest as it holds, defaults written out.
    manifest: Option<Manifest>,
}

impl Findings {
    fn of(args: &InspectArgs) -> Result<Self, String> {
        let wasm = read(&args.skill)?;
        let module = look(&wasm).map_err(|error| error.to_string())?;
        let manifest = match manifest_section(&wasm).map_err(|error| error.to_string())? {
            Some(text) => Some(text.parse::<Manifest>().map_err(|error| harmless(&error.to_string()))?),
            None => None,
        };
        Ok(Findings { module, manifest })
    }

    fn print(&self) {
        println!("{} bytes, {} functions of its own", self.module.bytes, self.module.functions);
        for (name, bytes) in &self.module.sections {
            println!("  {bytes:>9}  {}", harmless(name));
        }
        println!("\nimports");
        for (module, name) in &self.module.imports {
            let name = harmless(name);
            println!("  {}.{name}: {}", harmless(module), needs(module, &name));
        }
        println!("\nexports");
        for name in &self.module.exported_functions {
            println!("  {}: {}", harmless(name), role(name));
        }
        for name in &self.module.other_exports {
            println!("  {}", harmless(name));
        }
        if let Some((initial, maximum)) = self.module.memory_pages {
            let maximum = maximum.map_or("no maximum of its own".into(), |pages| format!("at most {} KiB", pages * 64));
            println!("\nmemory\n  {} KiB at the start, {maximum}", initial * 64);
        }
        match &self.manifest {
            Some(manifest) => println!("\nmanifest\n{}", indented(&manifest.to_string())),
            None => println!("\nno manifest: the skill has its own memory and its log, and default limits"),
        }
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
        })
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
    text.lines().map(|line| format!("  {}\n", harmless(line))).collect()
}
