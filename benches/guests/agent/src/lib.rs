//! An agent as skills are: for each of its steps it builds a prompt of what it knows, asks the AI, and parses the JSON that it
//! is answered.
//!
//! The event is `{"goal", "steps"}`, the response `{"done", "findings"}`.
#![cfg_attr(target_arch = "wasm32", no_std)]

use cis_skill_sdk::prelude::*;
use serde::{Deserialize, Serialize};

/// The agent.
#[derive(Default)]
pub struct Agent;

#[derive(Deserialize)]
struct Goal {
    goal: String,
    steps: u32,
}

/// What the AI answers.
#[derive(Deserialize)]
struct Step {
    thought: String,
    tool: String,
    arguments: Vec<String>,
    confidence: f64,
    findings: Vec<Finding>,
}

#[derive(Clone, Deserialize, Serialize)]
struct Finding {
    title: String,
    source: String,
    score: f64,
}

#[derive(Serialize)]
struct Report {
    done: u32,
    findings: Vec<Finding>,
}

/// How many of the best findings, and of the last notes, are in a prompt.
const MOST: usize = 6;

impl Skill for Agent {
    fn handle(&mut self, event: Event<'_>) -> Result<Response, Error> {
        let Goal { goal, steps } = event.json()?;
        let (mut notes, mut findings) = (Vec::<String>::new(), Vec::<Finding>::new());
        for number in 0..steps {
            let mut prompt = format!("You work towards this goal: {goal}\nThis is step {} of {steps}.\n", number + 1);
            for note in notes.iter().rev().take(MOST) {
                prompt.push_str(&format!("- {note}\n"));
            }
            for Finding { title, source, score } in findings.iter().take(MOST) {
                prompt.push_str(&format!("* {title} ({source}, {score:.2})\n"));
            }
            prompt.push_str("Answer with JSON: thought, tool, arguments, confidence, findings.");
            let step: Step = serde_json::from_str(&Ai::chat(&prompt)?)
                .map_err(|error| Error::failed(format!("the AI did not answer with a step: {error}")))?;
            notes.push(format!("{}: {}({}), {:.1}", step.thought, step.tool, step.arguments.join(", "), step.confidence));
            for finding in step.findings {
                if !findings.iter().any(|known| known.title == finding.title) {
                    findings.push(finding);
                }
            }
            findings.sort_by(|a, b| b.score.total_cmp(&a.score));
            debug!("step {}: {} findings", number + 1, findings.len());
        }
        Response::json(&Report { done: steps, findings })
    }
}

cis_skill_sdk::skill!(Agent);
