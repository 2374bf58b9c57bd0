//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

/// This repository's own commands.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Rewrite the generated tables of docs/abi.md
    AbiDoc,
    /// Run this project's benches; arguments go to `cargo bench`
    Bench {
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<String>,
    },
    /// Measure the runtime beside wasmtime, Extism and plain wasmer: `bench-compare [--only WORKLOAD] [--json] [waiting]`
    #[command(disable_help_flag = true)]
    BenchCompare {
        /// Arguments for the program that measures; `--help` lists them
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<String>,
    },
    /// Build a skill's folder into one .wasm; its path is the last line on stdout
    BuildSkill(BuildSkill),
    /// Generate the C header of the SDK from the ABI crate
    CHeader,
    /// Everything that has to hold before a change lands
    Ci,
    /// Try skills that mean harm, and print which were held: `hostile [--only NAME] [--unwire LIMIT | --mutate]`
    #[command(disable_help_flag = true)]
    Hostile {
        /// Arguments for `cis-hostile`; `--help` lists them
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<String>,
    },
    /// Show what a skill is, imports, exports and may use: `inspect-skill PATH_OR_WASM [--json]`
    #[command(disable_help_flag = true)]
    InspectSkill {
        /// A skill's folder or a .wasm, then arguments for `cis-skill inspect`
        #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "PATH_OR_WASM")]
        args: Vec<String>,
    },
    /// Start a new skill that builds, tests and runs at once
    NewSkill(NewSkill),
    /// Run a recorded event again, offline: `replay-skill FILE [--wasm PATH_OR_WASM] [--until N] [--edit CALL=REPLY]`
    #[command(disable_help_flag = true)]
    ReplaySkill {
        /// A recording that `run-skill --record` wrote, then arguments for `cis-skill replay`
        #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "FILE")]
        args: Vec<String>,
    },
    /// Run skills for long, wrongly, and into kill -9: `reliability [--release] chaos|durable|kill9|kills|neighbours|soak [...]`
    Reliability {
        /// Build with optimisation; the first time this takes many minutes
        #[arg(long)]
        release: bool,
        /// A command and its arguments; `--help` behind a command lists them
        #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "COMMAND", required = true)]
        args: Vec<String>,
    },
    /// Run one event of a skill: `run-skill PATH_OR_WASM --event TYPE --data JSON [...]`; `run-skill --help` for all of it
    #[command(disable_help_flag = true)]
    RunSkill {
        /// A skill's folder or a .wasm, then arguments for `cis-skill run`
        #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "PATH_OR_WASM")]
        args: Vec<String>,
    },
    /// Run every test: the skills natively, the workspace on both compilers
    Test(Test),
    /// Run a skill against a real language model, served on loopback
    TestLive(TestLive),
    /// Draw a recorded event as one HTML page: `trace-skill FILE --html OUT`
    #[command(disable_help_flag = true)]
    TraceSkill {
        /// A recording that `run-skill --record` wrote, then arguments for `cis-skill trace`
        #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "FILE")]
        args: Vec<String>,
    },
    /// Check the repository's own rules
    Tidy {
        /// Rewrite the generated files instead of refusing old ones
        #[arg(long)]
        bless: bool,
    },
}

#[derive(Debug, Args)]
pub(crate) struct BuildSkill {
    /// The skill's folder: `Cargo.toml` and `skill.toml`, or `skill.toml` and C files
    pub(crate) path: PathBuf,
    /// Where the module goes [default: target/skills/NAME.wasm]
    #[arg(long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
    /// Keep function names, for traps that say where; they cost bytes
    #[arg(long)]
    pub(crate) keep_names: bool,
}

#[derive(Debug, Args)]
pub(crate) struct NewSkill {
    /// The skill's name: a-z, 0-9 and `-`, beginning with a letter
    pub(crate) name: String,
    /// What it is written in
    #[arg(long, value_enum, default_value_t = Lang::Rust)]
    pub(crate) lang: Lang,
    /// The folder that the skill's folder goes into [default: skills]
    #[arg(long, value_name = "DIR")]
    pub(crate) path: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Lang {
    Rust,
    C,
}

#[derive(Debug, Args)]
pub(crate) struct Test {
    /// Arguments for the workspace's `cargo test`; the skills' own tests are left out then
    #[arg(last = true)]
    pub(crate) args: Vec<String>,
}

#[derive(Debug, Args)]
pub(crate) struct TestLive {
    /// Fail when the model cannot be downloaded, instead of leaving the test out
    #[arg(long)]
    pub(crate) require: bool,
}
