//! The host that a skill on the command line has: a redb file, and an AI and HTTP where the flags give them.

use std::env;

use cis_skill::host::SecretValue;
use cis_skill::{EgressClient, EgressPolicy, Host, OpenAi, OpenAiConfig, RedbMemory, Secrets};

use crate::cli::RunArgs;

/// The environment variable with the key of the AI endpoint.
const AI_KEY: &str = "CIS_AI_KEY";

/// Puts the host together, or says which flag or file is at fault.
pub(crate) fn host(args: &RunArgs) -> Result<Host, String> {
    let file = args.data_dir.join("memory.redb");
    let memory = RedbMemory::open(&file).map_err(|error| format!("--data-dir: {error}"))?;
    let mut builder = Host::builder().memory(memory).secrets(secrets(args)?);

    let mut policy = EgressPolicy::deny_private();
    for host in &args.allow_http {
        policy = policy.allow_host(host).map_err(|error| format!("--allow-http: {error}"))?;
    }
    builder = builder.http(EgressClient::new(policy).map_err(|error| format!("--allow-http: {error}"))?);

    if let (Some(url), Some(model)) = (&args.ai_url, &args.ai_model) {
        let mut config = OpenAiConfig::new(url, model);
        if let Ok(key) = env::var(AI_KEY) {
            config.api_key = Some(SecretValue::new(key).map_err(|error| format!("{AI_KEY}: {error}"))?);
        }
        builder = builder.ai(OpenAi::new(config).map_err(|error| format!("--ai-url: {error}"))?);
    }
    Ok(builder.build())
}

fn secrets(args: &RunArgs) -> Result<Secrets, String> {
    let mut secrets = Secrets::new();
    for name in &args.secret {
        let value = env::var(name)
            .map_err(|_| format!("--secret {name}: set its value in the environment variable `{name}`"))?;
        secrets.insert(name, value).map_err(|error| format!("--secret {name}: {error}"))?;
    }
    Ok(secrets)
}
