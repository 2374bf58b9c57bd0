//! Runs an oracle over many inputs, or over some, in a process of its own: a guest that ends the process where the runtime
//! is wrong ends nothing else, and what was said last names it.
//!
//! ```text
//! cis-generated ORACLE seeds FROM TO    bytes made from each number, TO not among them
//! cis-generated ORACLE files PATH...    .hex, .wat, or as they are
//! cis-generated ORACLE unpack FOLDER    writes the corpus as a fuzzer wants it
//! ```

use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use cis_generated::{Oracle, Tally, bytes};

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match run(&args) {
        Ok(tally) => {
            println!("tally {tally}");
            ExitCode::SUCCESS
        }
        Err(why) => {
            eprintln!("{why}");
            ExitCode::from(2)
        }
    }
}

fn run(args: &[&str]) -> Result<Tally, String> {
    let usage = || {
        let names: Vec<_> = Oracle::ALL.iter().map(|oracle| oracle.name()).collect();
        format!(
            "cis-generated ORACLE seeds FROM TO | files PATH... | unpack FOLDER, where ORACLE is one of {}",
            names.join(", ")
        )
    };
    let [oracle, what, rest @ ..] = args else { return Err(usage()) };
    let oracle = Oracle::from_name(oracle).ok_or_else(usage)?;
    let mut tally = Tally::default();
    match (*what, rest) {
        ("seeds", [from, to]) => {
            let number = |text: &str| text.parse::<u64>().map_err(|error| format!("`{text}`: {error}"));
            for seed in number(from)?..number(to)? {
                // Said before it runs, for when it does not come back.
                println!("seed {seed}");
                tally.add(&oracle.check(&bytes(seed, oracle.input_len())));
            }
        }
        ("files", paths) => {
            for path in paths {
                println!("file {path}");
                tally.add(&oracle.check(&oracle.read(Path::new(path))?));
            }
        }
        ("unpack", [folder]) => {
            let written = |what: &dyn Display, error: std::io::Error| format!("{what}: {error}");
            std::fs::create_dir_all(folder).map_err(|error| written(folder, error))?;
            for file in oracle.corpus()? {
                let name = file.file_stem().unwrap_or_default();
                let to = PathBuf::from(folder).join(name);
                std::fs::write(&to, oracle.read(&file)?).map_err(|error| written(&to.display(), error))?;
            }
        }
        _ => return Err(usage()),
    }
    Ok(tally)
}
