//! What a module says about itself, without running or compiling it.

use cis_wasm_abi::{MANIFEST_SECTION, ceilings};
use wasmparser::{ExternalKind, Parser, Payload, TypeRef};

use crate::error::{Error, ErrorKind};

/// The parts of a module that an operator wants to see.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Inspection {
    /// What it imports, as module and name.
    pub imports: Vec<(String, String)>,
    /// The names of the functions it exports.
    pub exported_functions: Vec<String>,
    /// Everything else it exports.
    pub other_exports: Vec<String>,
    /// Functions of its own.
    pub functions: u32,
    /// Pages of 64 KiB of memory at the start, and at most where it says so.
    pub memory_pages: Option<(u64, Option<u64>)>,
    /// Sections with their sizes in bytes, in order; custom ones by their own names.
    pub sections: Vec<(String, u64)>,
    /// The whole size in bytes.
    pub bytes: u64,
}

/// Reads a module's outside.
///
/// # Errors
///
/// When it is not a WebAssembly module. A module that can be inspected need not be one that can be loaded.
pub fn inspect(wasm: &[u8]) -> Result<Inspection, Error> {
    let mut found = Inspection { bytes: wasm.len() as u64, ..Inspection::default() };
    for payload in payloads(wasm)? {
        let payload = payload?;
        if let Some((id, range)) = payload.as_section() {
            let name = match &payload {
                Payload::CustomSection(section) => section.name().to_owned(),
                _ => section_name(id).to_owned(),
            };
            found.sections.push((name, range.end - range.start));
        }
        match payload {
            Payload::ImportSection(section) => {
                for import in section.into_imports() {
                    let import = import.map_err(invalid)?;
                    if let TypeRef::Memory(memory) = import.ty {
                        found.memory_pages = Some((memory.initial, memory.maximum));
                    }
                    found.imports.push((import.module.to_owned(), import.name.to_owned()));
                }
            }
            Payload::FunctionSection(section) => found.functions = section.count(),
            Payload::MemorySection(section) => {
                for memory in section {
                    let memory = memory.map_err(invalid)?;
                    found.memory_pages = Some((memory.initial, memory.maximum));
                }
            }
            Payload::ExportSection(section) => {
                for export in section {
                    let export = export.map_err(invalid)?;
                    match export.kind {
                        ExternalKind::Func => found.exported_functions.push(export.name.to_owned()),
                        _ => found.other_exports.push(export.name.to_owned()),
                    }
                }
            }
            _ => {}
        }
    }
    Ok(found)
}

/// The text of the manifest that the module carries, if it carries one.
///
/// # Errors
///
/// When it is not a WebAssembly module, carries two manifests, or one that is too large or not UTF-8.
pub fn manifest_section(wasm: &[u8]) -> Result<Option<String>, Error> {
    let mut manifest = None;
    for payload in payloads(wasm)? {
        let Payload::CustomSection(section) = payload? else { continue };
        if section.name() != MANIFEST_SECTION {
            continue;
        }
        let bytes = section.data();
        if bytes.len() > ceilings::MANIFEST {
            let (has, ceiling) = (bytes.len() as u64, ceilings::MANIFEST as u64);
            return Err(ErrorKind::ModuleTooLarge { what: "bytes of manifest".into(), has, ceiling }.into());
        }
        let text = str::from_utf8(bytes).map_err(|error| invalid(format!("its manifest is not UTF-8: {error}")))?;
        if manifest.replace(text.to_owned()).is_some() {
            return Err(invalid(format!("it has two sections `{MANIFEST_SECTION}`")));
        }
    }
    Ok(manifest)
}

fn payloads(wasm: &[u8]) -> Result<impl Iterator<Item = Result<Payload<'_>, Error>>, Error> {
    if wasm.len() > ceilings::MODULE {
        let (has, ceiling) = (wasm.len() as u64, ceilings::MODULE as u64);
        return Err(ErrorKind::ModuleTooLarge { what: "bytes".into(), has, ceiling }.into());
    }
    // The parser would say it in ten lines.
    if !wasm.starts_with(b"\0asm") {
        return Err(invalid("it does not begin with `\\0asm`: this is not a WebAssembly binary"));
    }
    Ok(Parser::new(0).parse_all(wasm).map(|payload| payload.map_err(invalid)))
}

fn invalid(error: impl ToString) -> Error {
    ErrorKind::InvalidModule { message: error.to_string() }.into()
}

fn section_name(id: u8) -> &'static str {
    match id {
        1 => "type",
        2 => "import",
        3 => "function",
        4 => "table",
        5 => "memory",
        6 => "global",
        7 => "export",
        8 => "start",
        9 => "element",
        10 => "code",
        11 => "data",
        12 => "data count",
        13 => "tag",
        _ => "unknown",
    }
}
