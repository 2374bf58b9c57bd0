//! The Rust snippets of the seed document, with nothing changed but the crate's name and the `.build()` that the first one
//! forgot.

mod common;

use cis_skill::{Event, InMemory, Skill};

/// Both run in a folder where the snippets' `path/to/skill.wasm` is a module.
#[test]
#[allow(unused_mut, reason = "so it stands in the seed")]
fn the_snippets_compile_and_run() -> Result<(), Box<dyn std::error::Error>> {
    let folder = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("seed");
    std::fs::create_dir_all(folder.join("path/to"))?;
    std::fs::write(folder.join("path/to/skill.wasm"), common::saying("it works"))?;
    std::env::set_current_dir(&folder)?;

    let memory_service = InMemory::new();
    let (instance, skill) = {
        use cis_skill::wasm::{WasmRuntime, WasmSkillBuilder};

        // 创建运行时
        let mut runtime = WasmRuntime::new()?;

        // 从字节码加载 WASM
        let wasm_bytes = std::fs::read("path/to/skill.wasm")?;
        let instance = runtime.load_skill(&wasm_bytes)?;

        // 或者使用 Builder 模式
        let skill = WasmSkillBuilder::new()
            .name("my-skill")
            .version("1.0.0")
            .description("My WASM Skill")
            .wasm_bytes(wasm_bytes)
            .memory_service(memory_service)
            .build()?;
        (instance, skill)
    };
    assert_eq!(instance.run("tick", b"{}").result?, "it works");
    assert_eq!((skill.name(), skill.version(), skill.description()), ("my-skill", "1.0.0", "My WASM Skill"));
    assert_eq!(skill.run(Event::tick(0))?.text()?, "it works");

    let db_manager = InMemory::new();
    let manager = {
        use cis_skill::skill::{LoadOptions, SkillManager};

        let manager = SkillManager::new(db_manager)?;

        // 加载 WASM Skill
        let wasm_bytes = std::fs::read("path/to/skill.wasm")?;
        manager.load_wasm("my-wasm-skill", &wasm_bytes, LoadOptions::default())?;
        manager
    };
    assert_eq!(manager.send_event_blocking("my-wasm-skill", Event::tick(0))?.text()?, "it works");
    Ok(())
}

/// A `db_manager` can be a database, or a whole host.
#[test]
#[cfg(feature = "redb")]
fn a_manager_is_made_of_a_database_or_of_a_host() -> Result<(), Box<dyn std::error::Error>> {
    use cis_skill::{Host, LoadOptions, RedbMemory, SkillManager};

    let file = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("seed.redb");
    let _ = std::fs::remove_file(&file);
    for round in ["x", "xx"] {
        let manager = if round == "x" {
            SkillManager::new(RedbMemory::open(&file)?)?
        } else {
            SkillManager::new(Host::builder().memory(RedbMemory::open(&file)?).build())?
        };
        manager.load_wasm("keeper", &common::appending(), LoadOptions::default())?;
        // The second manager finds what the first one's skill stored.
        assert_eq!(manager.send_event_blocking("keeper", Event::new("add", "x"))?.text()?, round);
    }
    Ok(())
}
