//! Which crate may know which. A crate knows only crates above it in the drawing of ARCHITECTURE.md.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::failure::Failure;
use crate::process;
use crate::repo::Repo;
use crate::tidy::Finding;

/// A crate and the crates of this workspace that it may name.
const LAYERS: [(&str, &[&str]); 12] = [
    ("cis-wasm-abi", &[]),
    ("cis-wasm-host", &["cis-wasm-abi"]),
    ("cis-wasm-runtime", &["cis-wasm-abi", "cis-wasm-host"]),
    ("cis-skill-manifest", &["cis-wasm-abi", "cis-wasm-host"]),
    ("cis-skill", &["cis-skill-manifest", "cis-wasm-abi", "cis-wasm-host", "cis-wasm-runtime"]),
    ("cis-skill-cli", &["cis-skill", "cis-wasm-abi", "cis-wasm-runtime"]),
    ("cis-skill-sdk", &["cis-wasm-abi"]),
    ("cis-benches", &["cis-skill", "cis-skill-sdk", "cis-wasm-abi", "cis-wasm-host", "cis-wasm-runtime"]),
    ("cis-generated", &["cis-skill", "cis-wasm-abi", "cis-wasm-host", "cis-wasm-runtime"]),
    ("cis-hostile", &["cis-wasm-abi", "cis-wasm-host", "cis-wasm-runtime"]),
    ("cis-reliability", &["cis-skill"]),
    ("xtask", &["cis-skill-manifest", "cis-wasm-abi"]),
];

/// What only the tests of a crate may name besides: what its own behaviour is compared with, and the cases that skills
/// are tested with.
const TEST_LAYERS: [(&str, &str); 2] = [("cis-skill-cli", "cis-skill-sdk"), ("cis-skill-sdk", "cis-wasm-host")];

/// The only crate that knows the engine.
const ENGINE_CRATE: &str = "cis-wasm-runtime";

/// What a crate that is held small may use from outside. Tests may use more.
const OUTSIDE: [(&str, &[&str]); 2] = [("cis-wasm-abi", &[]), ("cis-skill-sdk", &["serde", "serde_json"])];

/// What an integrator who brings backends of their own does not get from us: HTTP clients and async runtimes.
const NOT_IN_THE_CORE: [&str; 12] = [
    "async-executor",
    "async-std",
    "compio",
    "curl",
    "hyper",
    "isahc",
    "monoio",
    "reqwest",
    "smol",
    "surf",
    "tokio",
    "ureq",
];

/// A crate of the workspace and what it names in its manifest.
#[derive(Clone, Debug)]
pub(crate) struct Package {
    pub(crate) name: String,
    pub(crate) dependencies: Vec<Dependency>,
}

#[derive(Clone, Debug)]
pub(crate) struct Dependency {
    pub(crate) name: String,
    /// Only its tests, examples and benches use it.
    pub(crate) dev: bool,
}

/// The crates of the workspace, from `cargo metadata`.
pub(crate) fn packages(repo: &Repo) -> Result<Vec<Package>, Failure> {
    let mut cargo = process::cargo();
    cargo.current_dir(repo.root()).args(["metadata", "--no-deps", "--format-version", "1"]);
    let metadata: Value = serde_json::from_str(&process::output(&mut cargo)?)
        .map_err(|error| Failure::said(format!("cargo metadata: {error}")))?;
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let packages = metadata["packages"].as_array().map(Vec::as_slice).unwrap_or_default();
    Ok(packages
        .iter()
        .map(|package| Package {
            name: text(&package["name"]),
            dependencies: package["dependencies"]
                .as_array()
                .map(Vec::as_slice)
                .unwrap_or_default()
                .iter()
                .map(|dependency| Dependency { name: text(&dependency["name"]), dev: dependency["kind"] == "dev" })
                .collect(),
        })
        .collect())
}

/// Every crate keeps to its layer.
pub(crate) fn respected(packages: &[Package]) -> Vec<Finding> {
    let layers = BTreeMap::from(LAYERS);
    let outside = BTreeMap::from(OUTSIDE);
    let mut findings = Vec::new();
    for package in packages {
        let Some(above) = layers.get(package.name.as_str()) else {
            let problem = "in no layer; add it to xtask/src/tidy/layers.rs and to the drawing in ARCHITECTURE.md";
            findings.push(Finding::new(&package.name, problem));
            continue;
        };
        for Dependency { name, dev } in &package.dependencies {
            let name = name.as_str();
            if *dev && TEST_LAYERS.contains(&(&package.name, name)) {
                continue;
            }
            let problem = if name.starts_with("wasmer") && package.name != ENGINE_CRATE {
                format!("depends on {name}; only {ENGINE_CRATE} names the engine")
            } else if layers.contains_key(name) && !above.contains(&name) && name != package.name {
                format!("depends on {name}, which is not above it; it may know {above:?}")
            } else if let Some(allowed) = outside.get(package.name.as_str())
                && !dev
                && !layers.contains_key(name)
                && !allowed.contains(&name)
            {
                format!("depends on {name}; from outside it may use {allowed:?}")
            } else {
                continue;
            };
            findings.push(Finding::new(&package.name, problem));
        }
    }
    findings
}

/// What `cis-skill` brings without its default features, by name.
pub(crate) fn core_dependencies(repo: &Repo) -> Result<Vec<String>, Failure> {
    let mut cargo = process::cargo();
    cargo.current_dir(repo.root()).args(["tree", "--edges", "normal", "--package", "cis-skill"]);
    let tree = process::output(cargo.args(["--no-default-features", "--prefix", "none", "--format", "{p}"]))?;
    Ok(tree.lines().filter_map(|line| line.split(' ').next()).map(str::to_owned).collect())
}

/// Without its default features, `cis-skill` brings no HTTP client and no async runtime.
pub(crate) fn core_is_lean(dependencies: &[String]) -> Vec<Finding> {
    NOT_IN_THE_CORE
        .iter()
        .filter(|name| dependencies.iter().any(|dependency| dependency == *name))
        .map(|name| Finding::new("cis-skill", format!("brings {name} even with --no-default-features")))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn findings(name: &str, dependency: &str, dev: bool) -> Vec<Finding> {
        let dependencies = vec![Dependency { name: dependency.to_owned(), dev }];
        respected(&[Package { name: name.to_owned(), dependencies }])
    }

    #[test]
    fn a_crate_that_looks_down_is_found() {
        for (name, dependency) in [
            ("cis-wasm-abi", "cis-wasm-host"),
            ("cis-wasm-host", "cis-wasm-runtime"),
            ("cis-wasm-runtime", "cis-skill"),
            ("cis-skill-sdk", "cis-wasm-runtime"),
            ("xtask", "cis-skill"),
        ] {
            assert_eq!(findings(name, dependency, false).len(), 1, "{name} -> {dependency}");
            assert_eq!(findings(name, dependency, true).len(), 1, "{name} -> {dependency} in tests");
        }
        assert!(findings("cis-wasm-runtime", "cis-wasm-host", false).is_empty());
        assert_eq!(findings("cis-skill-sdk", "cis-wasm-host", false).len(), 1);
        assert!(findings("cis-skill-sdk", "cis-wasm-host", true).is_empty());
    }

    #[test]
    fn the_engine_outside_its_crate_is_found() {
        assert_eq!(findings("cis-skill", "wasmer", false).len(), 1);
        assert_eq!(findings("cis-skill", "wasmer-types", true).len(), 1);
        assert!(findings("cis-wasm-runtime", "wasmer", false).is_empty());
    }

    #[test]
    fn a_small_crate_that_grows_is_found() {
        assert_eq!(findings("cis-wasm-abi", "serde", false).len(), 1);
        assert_eq!(findings("cis-skill-sdk", "tokio", false).len(), 1);
        assert!(findings("cis-skill-sdk", "serde_json", false).is_empty());
    }

    #[test]
    fn a_crate_in_no_layer_is_found() {
        assert!(findings("cis-new", "serde", false)[0].problem.contains("no layer"));
    }

    #[test]
    fn a_core_with_a_client_is_found() {
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        assert_eq!(core_is_lean(&names(&["serde", "reqwest", "tokio"])).len(), 2);
        assert!(core_is_lean(&names(&["serde", "tokio-util"])).is_empty());
    }
}
