//! An event for everybody who subscribes to it.

mod common;

use cis_skill::{Event, LoadOptions, Response, Skill, SkillContext, async_trait};
use common::{eventually, load, manager, module, on_each_compiler, saying, tokio_threads};

struct Ticking;

#[async_trait]
impl Skill for Ticking {
    fn name(&self) -> &str {
        "native"
    }

    fn version(&self) -> &str {
        "1.0.0"
    }

    fn subscriptions(&self) -> Vec<&str> {
        vec!["tick"]
    }

    async fn handle_event(&self, _ctx: &mut SkillContext, event: Event) -> cis_skill::Result<Response> {
        #[derive(serde::Deserialize)]
        struct Tick {
            unix_ms: u64,
        }
        Response::from_json(&event.json::<Tick>()?.unix_ms)
    }
}

const TICKS: &str = "subscriptions = [\"tick\"]";

#[test]
fn subscribers_answer_each_for_itself() {
    on_each_compiler(|runtime| {
        let manager = manager(&runtime);
        load(&manager, "a-good", &saying("good"), TICKS);
        load(&manager, "b-bad", &module("", "unreachable"), TICKS);
        load(&manager, "c-other", &saying("other"), "subscriptions = [\"tock\"]");
        load(&manager, "d-none", &saying("none"), "");
        load(&manager, "e-inactive", &saying("inactive"), TICKS);
        manager.deactivate("e-inactive").unwrap();
        tokio_threads().block_on(async {
            manager.register(Ticking).await.unwrap();
            let answers = manager.broadcast(Event::tick(7)).await;
            let answers: Vec<(&str, &str)> = answers
                .iter()
                .map(|(name, result)| match result {
                    Ok(response) => (name.as_str(), response.text().unwrap()),
                    Err(error) => (name.as_str(), error.code()),
                })
                .collect();
            assert_eq!(answers, [("a-good", "good"), ("b-bad", "trap_unreachable"), ("native", "7")]);
            assert!(manager.broadcast(Event::new("nobody", "")).await.is_empty());
        });
    });
}

#[test]
fn a_paused_subscriber_answers_when_it_is_resumed() {
    let manager = manager(&cis_skill::WasmRuntime::new().unwrap());
    load(&manager, "a", &saying("a"), TICKS);
    load(&manager, "b", &saying("b"), TICKS);
    manager.pause("b").unwrap();
    std::thread::scope(|scope| {
        let sent = scope.spawn(|| pollster::block_on(manager.broadcast(Event::tick(0))));
        eventually(|| manager.info("b").unwrap().queued == 1);
        manager.resume("b").unwrap();
        let answers = sent.join().unwrap();
        assert_eq!(answers.len(), 2);
        assert!(answers.iter().all(|(name, result)| result.as_ref().unwrap().text().unwrap() == name.as_str()));
    });
}

#[test]
fn a_manifest_in_the_module_brings_its_subscriptions() {
    let manager = manager(&cis_skill::WasmRuntime::new().unwrap());
    let text = b"name = \"whole\"\nversion = \"2.1.0\"\ndescription = \"One file.\"\nsubscriptions = [\"tick\"]";
    let wasm = common::with_manifest(saying("whole"), text);
    manager.load_wasm("known-as", &wasm, LoadOptions::default().expect_name("whole")).unwrap();
    let answers = pollster::block_on(manager.broadcast(Event::tick(0)));
    assert_eq!(answers[0].1.as_ref().unwrap().text().unwrap(), "whole");

    let info = manager.info("known-as").unwrap();
    assert_eq!((info.name.as_str(), &*info.version, &*info.description), ("known-as", "2.1.0", "One file."));
    assert_eq!(info.manifest.unwrap().name.as_str(), "whole");
    let given = common::options("whole", "");
    assert_eq!(manager.load_wasm("other", &wasm, given).unwrap_err().code(), "manifest_mismatch");
}
