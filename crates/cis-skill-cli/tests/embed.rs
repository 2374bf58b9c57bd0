//! The README's ten lines for integrators.

mod support;

use std::error::Error;

use support::{folder, root, skill};

// begin
use cis_skill::{Event, Host, LoadOptions, RedbMemory, SkillManager};

async fn embedded() -> Result<(), Box<dyn Error>> {
    let host = Host::builder().memory(RedbMemory::open("agent.redb")?).build();
    let manager = SkillManager::new(host)?;
    manager.load_wasm("notes", &std::fs::read("notes.wasm")?, LoadOptions::default())?;

    let event = Event::custom("note.add", &serde_json::json!({ "text": "buy milk" }))?;
    match manager.send_event("notes", event).await {
        Ok(response) => println!("{} used {:?}", response.text()?, response.receipt()),
        Err(error) => eprintln!("{} ({}'s fault): {error}", error.code(), error.fault().name()),
    }
    // end
    let listed = manager.send_event("notes", Event::new("note.list", "")).await?;
    assert_eq!(listed.text()?, r#"{"notes":[{"id":1,"text":"buy milk"}]}"#);
    Ok(())
}

#[test]
fn they_run_as_they_stand() {
    let folder = folder("embed");
    std::fs::copy(skill("notes"), folder.join("notes.wasm")).unwrap();
    // The one test of this program: nobody else is in the folder.
    std::env::set_current_dir(&folder).unwrap();
    pollster::block_on(embedded()).unwrap();
    assert!(folder.join("agent.redb").is_file());

    let here = include_str!("embed.rs").split("// begin\n").nth(1).unwrap().split("    // end\n").next().unwrap();
    let lines = here.lines().filter(|line| !line.starts_with("async fn"));
    let shown: String = lines.map(|line| format!("{}\n", line.strip_prefix("    ").unwrap_or(line))).collect();
    let readme = std::fs::read_to_string(root().join("README.md")).unwrap();
    assert!(readme.contains(&format!("```rust\n{shown}```\n")), "the README does not show:\n{shown}");
    let code = shown.lines().filter(|line| !line.trim().is_empty()).count();
    assert!(code <= 10, "{code} lines");
}
