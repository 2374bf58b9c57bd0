//! The oracles by name, and the files that they are fed.

use std::path::{Path, PathBuf};

use crate::{Tally, branches, host_calls, journal, manifest, module, modules, packed, parked, straight_line};

/// One of the oracles of this crate.
///
/// ```
/// use cis_generated::{Oracle, bytes};
///
/// let oracle = Oracle::from_name("packed").expect("there is one");
/// oracle.check(&bytes(7, oracle.input_len()));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Oracle {
    /// [`branches`]
    Branches,
    /// [`host_calls`]
    HostCalls,
    /// [`journal`]
    Journal,
    /// [`manifest`]
    Manifest,
    /// [`module`], of bytes that are a whole module.
    Module,
    /// [`modules`]
    Modules,
    /// [`packed`]
    Packed,
    /// [`parked`]
    Parked,
    /// [`straight_line`]
    StraightLine,
}

impl Oracle {
    /// All of them.
    pub const ALL: [Oracle; 9] = [
        Oracle::Branches,
        Oracle::HostCalls,
        Oracle::Journal,
        Oracle::Manifest,
        Oracle::Module,
        Oracle::Modules,
        Oracle::Packed,
        Oracle::Parked,
        Oracle::StraightLine,
    ];

    /// Its name, which is that of its function, its fuzz target and its folder in `corpus/`.
    pub const fn name(self) -> &'static str {
        match self {
            Oracle::Branches => "branches",
            Oracle::HostCalls => "host_calls",
            Oracle::Journal => "journal",
            Oracle::Manifest => "manifest",
            Oracle::Module => "module",
            Oracle::Modules => "modules",
            Oracle::Packed => "packed",
            Oracle::Parked => "parked",
            Oracle::StraightLine => "straight_line",
        }
    }

    /// The oracle of a name.
    pub fn from_name(name: &str) -> Option<Self> {
        Oracle::ALL.into_iter().find(|oracle| oracle.name() == name)
    }

    /// How many bytes, made from a seed, give it something to do.
    pub const fn input_len(self) -> usize {
        match self {
            Oracle::HostCalls => 1_500,
            Oracle::Journal | Oracle::Manifest => 600,
            Oracle::Module | Oracle::Modules | Oracle::Parked => 8_192,
            Oracle::Packed => 300,
            Oracle::Branches | Oracle::StraightLine => 4_000,
        }
    }

    /// Feeds it bytes, and says what was seen.
    ///
    /// # Panics
    ///
    /// When something does not hold: see the functions.
    pub fn check(self, data: &[u8]) -> Tally {
        match self {
            Oracle::Branches => branches(data),
            Oracle::HostCalls => host_calls(data),
            Oracle::Journal => journal(data),
            Oracle::Manifest => manifest(data),
            Oracle::Module => module(data, b"data"),
            Oracle::Modules => modules(data),
            Oracle::Packed => packed(data),
            Oracle::Parked => parked(data),
            Oracle::StraightLine => straight_line(data),
        }
    }

    /// Its files in `corpus/`, in order of their names.
    ///
    /// # Errors
    ///
    /// When the folder cannot be read.
    pub fn corpus(self) -> Result<Vec<PathBuf>, String> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(self.name());
        let entries = std::fs::read_dir(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
        let mut files: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
        files.sort();
        Ok(files)
    }

    /// The bytes of a file: of a `.hex` what its digits say, of a `.wat` the module, of any other what is in it.
    ///
    /// # Errors
    ///
    /// When it cannot be read, or is not what its name says.
    pub fn read(self, path: &Path) -> Result<Vec<u8>, String> {
        let failed = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
        let bytes = std::fs::read(path).map_err(|error| failed(&error))?;
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("hex") => {
                let digits: Vec<u8> = bytes.into_iter().filter(|byte| !byte.is_ascii_whitespace()).collect();
                let pair = |pair: &[u8]| u8::from_str_radix(str::from_utf8(pair).ok()?, 16).ok();
                let bytes: Option<Vec<u8>> =
                    digits.chunks(2).map(|digits| pair(digits).filter(|_| digits.len() == 2)).collect();
                bytes.ok_or_else(|| failed(&"these are not pairs of hexadecimal digits"))
            }
            Some("wat") => wat::parse_bytes(&bytes).map(|wasm| wasm.into_owned()).map_err(|error| failed(&error)),
            _ => Ok(bytes),
        }
    }
}
