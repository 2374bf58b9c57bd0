//! A wasm skill without a manager.

mod common;

use cis_skill::{
    ArtifactCache, CacheOutcome, Event, Host, InMemory, LoadOptions, Resource, Skill, SkillContext, SkillManager,
    SkillScope, WasmRuntime, WasmSkill, WasmSkillBuilder,
};
use common::{appending, on_each_compiler, saying, with_manifest};

const MANIFEST: &[u8] =
    b"name = \"whole\"\nversion = \"1.2.3\"\ndescription = \"One file.\"\nsubscriptions = [\"tick\"]";

fn builder() -> WasmSkillBuilder {
    WasmSkillBuilder::new()
}

#[track_caller]
fn check_refused(builder: WasmSkillBuilder, code: &str, text: &str) {
    let error = builder.build().err().expect("it is refused");
    assert_eq!(error.code(), code, "{error}");
    assert!(error.to_string().contains(text), "{error}");
}

#[test]
fn a_module_with_a_manifest_needs_nothing_else() {
    on_each_compiler(|runtime| {
        let skill = builder().runtime(&runtime).wasm_bytes(with_manifest(saying("hi"), MANIFEST)).build().unwrap();
        let said = (skill.name(), skill.version(), skill.description(), skill.subscriptions());
        assert_eq!(said, ("whole", "1.2.3", "One file.", vec!["tick"]));
        assert_eq!(skill.run(Event::tick(0)).unwrap().text().unwrap(), "hi");
    });
}

#[test]
fn what_is_missing_or_contradicts_is_an_error() {
    let whole = || builder().wasm_bytes(with_manifest(saying("hi"), MANIFEST));
    check_refused(builder().name("a"), "incomplete", "`wasm_bytes`");
    check_refused(builder().wasm_bytes(saying("hi")), "incomplete", "`name`");
    check_refused(builder().name("A").wasm_bytes(saying("hi")), "bad_name", "`A`");
    check_refused(builder().name("a").version("1").wasm_bytes(saying("hi")), "bad_config", "version \"1\"");
    check_refused(whole().version("1.2.4"), "manifest_mismatch", "1.2.3");
    check_refused(whole().memory_service(InMemory::new()).host(&Host::default()), "incomplete", "not both");
    check_refused(whole().options(common::options("whole", "")), "manifest_mismatch", "manifest of its own");
    check_refused(builder().name("a").wasm_bytes("no wasm"), "invalid_module", "not a module");
    let skill = whole().name("other").version("1.2.3").build().unwrap();
    assert_eq!((skill.name(), skill.manifest().name.as_str()), ("other", "whole"));
}

#[test]
fn it_is_a_skill_like_any_other() {
    on_each_compiler(|runtime| {
        let host = Host::builder().memory(InMemory::new()).build();
        let options = LoadOptions::default().at_most(Resource::MemoryWrites, 1);
        let skill: WasmSkill =
            builder().runtime(&runtime).host(&host).name("a").wasm_bytes(appending()).options(options).build().unwrap();
        let skill: Box<dyn Skill> = Box::new(skill);
        let mut ctx = SkillContext::new(Host::default(), SkillScope::new("b".parse().unwrap()));
        common::tokio_current().block_on(async {
            skill.init(&mut ctx).await.unwrap();
            skill.handle_event(&mut ctx, Event::new("test", "x")).await.unwrap();
            let response = skill.handle_event(&mut ctx, Event::new("test", "y")).await.unwrap();
            assert_eq!(response.text().unwrap(), "xy", "its memory is the one it was built with");
            assert_eq!(response.receipt().unwrap().ledger.used().of(Resource::MemoryWrites), 1);
            skill.shutdown(&mut ctx).await.unwrap();
        });
    });
}

#[test]
fn read_only_memory_is_read_and_not_written() {
    let host = Host::builder().memory(InMemory::new()).build();
    let runtime = WasmRuntime::new().unwrap();
    let build = |options: LoadOptions| {
        builder().runtime(&runtime).host(&host).name("a").wasm_bytes(appending()).options(options).build().unwrap()
    };
    build(LoadOptions::default()).run(Event::new("test", "x")).unwrap();
    // The guest does not look at what `host_memory_set` answers.
    let reader = build(LoadOptions::default().read_only_memory());
    for _ in 0..2 {
        assert_eq!(reader.run(Event::new("test", "y")).unwrap().text().unwrap(), "xy");
    }
}

#[cfg(unix)]
#[test]
fn a_skill_says_what_the_cache_did_for_it() {
    let dir = tempfile::tempdir().unwrap();
    let cache = ArtifactCache::open(dir.path()).unwrap();
    let whole = || builder().wasm_bytes(with_manifest(saying("hi"), MANIFEST));
    assert_eq!(whole().build().unwrap().cache_outcome(), CacheOutcome::Off);
    assert_eq!(whole().cache(cache.clone()).build().unwrap().cache_outcome(), CacheOutcome::Miss { stored: true });
    let found = whole().cache(cache.clone()).build().unwrap();
    assert_eq!(found.cache_outcome(), CacheOutcome::Hit);
    assert_eq!(found.run(Event::tick(0)).unwrap().text().unwrap(), "hi");

    let runtime = WasmRuntime::builder().cache(cache.clone()).build().unwrap();
    check_refused(whole().cache(cache).runtime(&runtime), "incomplete", "give the cache to the runtime");
    let manager = SkillManager::builder().runtime(runtime).build().unwrap();
    manager.load_wasm("whole", &with_manifest(saying("hi"), MANIFEST), LoadOptions::default()).unwrap();
    assert_eq!(manager.info("whole").unwrap().cache, Some(CacheOutcome::Hit));
}
