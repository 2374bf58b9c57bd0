//! What an artifact is of.
//!
//! Invariant: two loads have the same [`ArtifactId`] only if compiling would give interchangeable machine code for both. So
//! everything that compiling looks at is named in [`Made`]. What is neither in the module nor in a setting is in the
//! program that compiles: the file it was started from stands for all of its code, whatever versions that is made of. A
//! host that is a library of another program has the versions only. Nothing of a skill's limits is here, because nothing of them is
//! in its code: they are held to where the instance is made and where it asks for more.

use std::fmt::Write;
use std::fs;
use std::sync::OnceLock;

use cis_wasm_host::unwired::{Limit, unwired};
use wasmer::sys::Target;

use super::folder;
use crate::backend::{Backend, features};
use crate::meter::Metering;

/// Bytes of an id.
pub(super) const ID_LEN: usize = blake3::OUT_LEN;

/// The id of an artifact: a hash of everything that its machine code depends on.
#[derive(Clone)]
pub(crate) struct ArtifactId(blake3::Hash);

impl ArtifactId {
    /// The id of a module that this process compiles in this way.
    pub(crate) fn new(backend: Backend, metering: Metering, wasm: &[u8]) -> Self {
        Self::of(&Made::here(backend, metering), wasm)
    }

    pub(super) fn of(made: &Made, wasm: &[u8]) -> Self {
        let mut hasher = blake3::Hasher::new_derive_key("cis-wasm-runtime artifact id");
        let parts = made.parts();
        hasher.update(&(parts.len() as u64).to_le_bytes());
        for part in parts {
            hasher.update(&(part.len() as u64).to_le_bytes()).update(part.as_bytes());
        }
        hasher.update(wasm);
        ArtifactId(hasher.finalize())
    }

    pub(super) fn as_bytes(&self) -> &[u8; ID_LEN] {
        self.0.as_bytes()
    }

    /// The name of its file. Two may have the same one, if by no chance that anybody will live to see: the whole id stands
    /// in the file.
    pub(super) fn file_name(&self) -> String {
        format!("{}.{}", &self.0.to_hex()[..40], folder::EXTENSION)
    }
}

/// How a module becomes machine code.
#[derive(Clone)]
pub(super) struct Made {
    /// Which compiler, which engine, and the versions of this crate and of the contract.
    pub versions: String,
    /// Which file all of the compiling code is in.
    pub program: String,
    /// The processor: target triple and features, as the engine sees them.
    pub target: String,
    /// What of WebAssembly is on, whether NaNs are canonical, and whether code pays for itself.
    pub settings: String,
}

impl Made {
    pub(super) fn here(backend: Backend, metering: Metering) -> Self {
        let target = Target::default();
        let mut settings = format!("canonical NaNs; {metering:?}; {:?}", features());
        // What a test takes out of service must not be missing elsewhere.
        for limit in Limit::all().filter(|limit| unwired(*limit)) {
            let _ = write!(settings, "; without {}", limit.name());
        }
        Made {
            versions: format!(
                "{} of wasmer {}; {} {}; contract {}",
                backend.name(),
                wasmer_compiler_cranelift::VERSION,
                env!("CARGO_PKG_NAME"),
                env!("CARGO_PKG_VERSION"),
                cis_wasm_abi::ABI_VERSION
            ),
            program: program().to_owned(),
            target: format!("{}; {:?}", target.triple(), target.cpu_features()),
            settings,
        }
    }

    fn parts(&self) -> [&str; 4] {
        let Made { versions, program, target, settings } = self;
        [versions, program, target, settings]
    }
}

/// What tells this program's file from every other that ever was in its place.
fn program() -> &'static str {
    static PROGRAM: OnceLock<String> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        // The link leads to the file that runs, also when another one has its name by now.
        let linux = cfg!(target_os = "linux").then(|| fs::metadata("/proc/self/exe").ok()).flatten();
        let metadata = linux.or_else(|| fs::metadata(std::env::current_exe().ok()?).ok());
        match metadata {
            Some(metadata) => identity(&metadata),
            None => {
                // Then nothing is shared with any other process.
                let mut random = [0; 16];
                let drawn = getrandom::fill(&mut random);
                format!("{:?} {drawn:?} {random:?}", std::time::SystemTime::now())
            }
        }
    })
}

#[cfg(unix)]
fn identity(metadata: &fs::Metadata) -> String {
    use std::os::unix::fs::MetadataExt;
    // The system sets the time of the last change, nobody else; a copy of a file has another one.
    format!(
        "device {} file {} with {} bytes, written {}.{:09}, changed {}.{:09}",
        metadata.dev(),
        metadata.ino(),
        metadata.len(),
        metadata.mtime(),
        metadata.mtime_nsec(),
        metadata.ctime(),
        metadata.ctime_nsec()
    )
}

#[cfg(not(unix))]
fn identity(metadata: &fs::Metadata) -> String {
    format!("{} bytes, written {:?}, made {:?}", metadata.len(), metadata.modified(), metadata.created())
}
