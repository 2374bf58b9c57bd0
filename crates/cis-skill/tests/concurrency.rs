//! Many events at once, on every kind of executor, and no event waits for one it has nothing to do with.

mod common;

use std::sync::Arc;

use cis_skill::{Event, Grants, RegisterOptions, Response, Skill, SkillContext, SkillManager, async_trait};
use common::{
    Gate, appending, echo, load, manager, manager_with, on_each_compiler, tokio_current, tokio_threads, waiting,
};

const EVENTS: usize = 1_000;
const SKILLS: usize = 10;

/// A native skill that keeps a sum in the host's memory, and asks a wasm skill from inside its own event.
struct Summing {
    name: String,
    /// One event at a time reads and writes the sum.
    turn: tokio::sync::Mutex<()>,
    manager: SkillManager,
}

#[async_trait]
impl Skill for Summing {
    fn name(&self) -> &str {
        &self.name
    }

    fn version(&self) -> &str {
        "1.0.0"
    }

    async fn handle_event(&self, ctx: &mut SkillContext, event: Event) -> cis_skill::Result<Response> {
        let _turn = self.turn.lock().await;
        let echoed = self.manager.send_event("fresh-0", event.clone()).await?;
        let number: u64 = echoed.json()?;
        let sum = match ctx.memory_get("sum").await? {
            None => 0,
            Some(sum) => serde_json::from_slice(&sum).expect("the skill stored it"),
        };
        ctx.memory_set("sum", (sum + number).to_string()).await?;
        Ok(Response::new(echoed.into_body()))
    }
}

/// Six fresh skills that echo, two kept ones that append, and two native ones.
async fn ten_skills(manager: &SkillManager) -> Vec<String> {
    let mut names = Vec::new();
    for index in 0..6 {
        names.push(format!("fresh-{index}"));
        load(manager, &names[index], &echo(), "");
    }
    for index in 0..2 {
        names.push(format!("kept-{index}"));
        load(manager, &names[6 + index], &appending(), "state = \"kept\"");
    }
    for index in 0..2 {
        let name = format!("native-{index}");
        let turn = tokio::sync::Mutex::new(());
        let options = RegisterOptions::default().grants(Grants::default());
        let skill = Summing { name: name.clone(), turn, manager: manager.clone() };
        manager.register_with(Arc::new(skill), options).await.unwrap();
        names.push(name);
    }
    assert_eq!(names.len(), SKILLS);
    names
}

/// Sends the events from as many tasks, and checks every answer.
async fn send_all(manager: SkillManager) {
    let names = ten_skills(&manager).await;
    let sent: Vec<_> = (0..EVENTS)
        .map(|index| {
            let (manager, name) = (manager.clone(), names[index % SKILLS].clone());
            tokio::spawn(async move {
                let response = manager.send_event(&name, Event::new("test", index.to_string())).await.unwrap();
                assert!(response.receipt().is_some());
                (name, index, response.into_body())
            })
        })
        .collect();
    for sent in sent {
        let (name, index, body) = sent.await.unwrap();
        let expected = index.to_string();
        if name.starts_with("kept") {
            assert!(body.ends_with(expected.as_bytes()), "{name} appends {expected} to the end");
        } else {
            assert_eq!(body, expected, "{name}");
        }
    }
    for (index, name) in names.iter().enumerate() {
        let info = manager.info(name).unwrap();
        assert_eq!((info.running, info.events.failed, info.events.cancelled), (0, 0, 0), "{name}");
        let own = EVENTS / SKILLS;
        // The two native skills ask the first one.
        let expected = if index == 0 { own * 3 } else { own };
        assert_eq!(info.events.ok, expected as u64, "{name}");
    }
    // Whatever order the kept skills saw, every event is there once.
    let kept = manager.send_event("kept-0", Event::new("test", "")).await.unwrap();
    let digits: usize = (0..EVENTS).filter(|index| index % SKILLS == 6).map(|index| index.to_string().len()).sum();
    assert_eq!(kept.body().len(), digits);
    assert!(manager.shutdown().await.is_empty());
}

#[test]
fn a_thousand_events_to_ten_skills_on_a_multi_threaded_runtime() {
    on_each_compiler(|runtime| tokio_threads().block_on(send_all(manager(&runtime))));
}

#[test]
fn a_thousand_events_to_ten_skills_on_a_single_thread() {
    on_each_compiler(|runtime| tokio_current().block_on(send_all(manager(&runtime))));
}

#[test]
fn a_thousand_events_to_ten_skills_from_threads_without_a_runtime() {
    on_each_compiler(|runtime| {
        let manager = manager(&runtime);
        let names = pollster::block_on(ten_skills(&manager));
        std::thread::scope(|scope| {
            for thread in 0..8 {
                let (manager, names) = (&manager, &names);
                scope.spawn(move || {
                    for index in (thread..EVENTS).step_by(8) {
                        let event = Event::new("test", index.to_string());
                        let response = manager.send_event_blocking(&names[index % SKILLS], event).unwrap();
                        assert!(response.body().ends_with(index.to_string().as_bytes()));
                    }
                });
            }
        });
        assert!(pollster::block_on(manager.shutdown()).is_empty());
    });
}

#[test]
fn events_of_one_fresh_skill_run_in_parallel() {
    on_each_compiler(|runtime| {
        let gate = Gate::closed();
        let manager = manager_with(&runtime, gate.clone());
        load(&manager, "wait", &waiting(), "");
        tokio_current().block_on(async {
            let sent: Vec<_> =
                (0..8).map(|_| tokio::spawn(manager.send_event("wait", Event::new("test", "a")))).collect();
            tokio::task::yield_now().await;
            // All are in the middle of their event at once, or this waits for ever.
            gate.await_arrivals(8);
            gate.open(8);
            for sent in sent {
                assert_eq!(sent.await.unwrap().unwrap().text().unwrap(), "a");
            }
        });
    });
}

#[test]
fn a_kept_skill_has_one_event_at_a_time_and_holds_back_no_other_skill() {
    on_each_compiler(|runtime| {
        let gate = Gate::closed();
        let manager = manager_with(&runtime, gate.clone());
        load(&manager, "kept", &waiting(), "state = \"kept\"");
        load(&manager, "other", &echo(), "");
        tokio_current().block_on(async {
            let sent: Vec<_> =
                (0..3).map(|_| tokio::spawn(manager.send_event("kept", Event::new("test", "a")))).collect();
            tokio::task::yield_now().await;
            for served in 1..=3 {
                gate.await_arrivals(served);
                let other = manager.send_event("other", Event::new("test", "b")).await.unwrap();
                assert_eq!(other.text().unwrap(), "b");
                gate.open(1);
            }
            for sent in sent {
                sent.await.unwrap().unwrap();
            }
        });
    });
}

/// A native skill that sends the event it got on, to itself, until the event is empty.
struct Recursive(SkillManager);

#[async_trait]
impl Skill for Recursive {
    fn name(&self) -> &str {
        "recursive"
    }

    fn version(&self) -> &str {
        "1.0.0"
    }

    async fn handle_event(&self, _ctx: &mut SkillContext, event: Event) -> cis_skill::Result<Response> {
        let Some((_, rest)) = event.data().split_first() else { return Ok(Response::new("end")) };
        self.0.send_event("recursive", Event::new("test", rest.to_vec())).await
    }
}

#[test]
fn a_skill_may_send_events_from_inside_an_event() {
    let manager = manager(&cis_skill::WasmRuntime::new().unwrap());
    tokio_current().block_on(async {
        manager.register(Recursive(manager.clone())).await.unwrap();
        let response = manager.send_event("recursive", Event::new("test", vec![0; 15])).await.unwrap();
        assert_eq!(response.text().unwrap(), "end");
        assert_eq!(manager.info("recursive").unwrap().events.ok, 16);
    });
}
