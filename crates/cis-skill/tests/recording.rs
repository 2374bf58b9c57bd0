//! A recorded event is run again without any backend and ends the same, on every compiler; and what is not the same is told.

mod common;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::time::Duration;

use cis_skill::host::{Answer, HostCall, HostReply};
use cis_skill::recording::{Recorder, Recording, Replay, Verdict, replay_folder};
use cis_skill::wasm::{Compiler, WasmSkillBuilder};
use cis_skill::{
    AiBackend, AiReply, AiRequest, BackendError, BackendErrorKind, Event, Host, HttpBackend, HttpRequest, HttpResponse,
    InMemory, LoadOptions, Manifest, Resource, Result, Secrets, SkillManager, Status, WasmRuntime, WasmSkill,
    async_trait,
};
use common::{COMPILERS, counting, eventually, tokio_threads, wat};

const SECRET: &str = "correct-horse-battery";

/// Stores the event's data, asks the AI about it, logs the answer and posts it, and ends as the type's first letter says:
/// `o` with the answer, `s` with a status, `t` with a trap, `l` in a loop, `c` in a loop of host calls.
fn agent(key: &str) -> Vec<u8> {
    wat(&format!(
        r#"(module
            (import "env" "host_memory_get" (func $get (param i32 i32) (result i64)))
            (import "env" "host_memory_set" (func $set (param i32 i32 i32 i32) (result i32)))
            (import "env" "host_ai_chat" (func $ask (param i32 i32) (result i64)))
            (import "env" "host_http_post" (func $post (param i32 i32 i32 i32) (result i64)))
            (import "env" "host_log" (func $log (param i32 i32 i32)))
            (import "env" "host_set_error" (func $set_error (param i32 i32)))
            (import "env" "host_config_get" (func $config (param i32 i32) (result i64)))
            (memory (export "memory") 2)
            (data (i32.const 1024) "{key}")
            (data (i32.const 1040) "https://hooks.test/x")
            (data (i32.const 1072) "lang")
            (global $free (mut i32) (i32.const 65536))
            (func $alloc (export "cis_alloc") (param $len i32) (result i32)
                (global.get $free)
                (global.set $free (i32.add (global.get $free) (local.get $len))))
            (func (export "skill_init") (result i32)
                (call $log (i32.const 1) (i32.const 1072) (i32.const 4))
                (i32.mul (call $set (i32.const 1072) (i32.const 4) (i32.const 1040) (i32.const 20)) (i32.const 0)))
            (func (export "skill_on_event") (param $type i32) (param $tl i32) (param $data i32) (param $len i32) (result i64)
                (local $answer i64) (local $at i32) (local $letter i32)
                (drop (call $set (i32.const 1024) (i32.const 3) (local.get $data) (local.get $len)))
                (drop (call $get (i32.const 1024) (i32.const 3)))
                (drop (call $config (i32.const 1072) (i32.const 4)))
                (local.set $answer (call $ask (local.get $data) (local.get $len)))
                (local.set $at (i32.wrap_i64 (i64.shr_u (local.get $answer) (i64.const 32))))
                (if (local.get $at) (then
                    (call $log (i32.const 1) (local.get $at) (i32.wrap_i64 (local.get $answer)))
                    (drop (call $post (i32.const 1040) (i32.const 20) (local.get $at) (i32.wrap_i64 (local.get $answer))))))
                (local.set $letter (i32.load8_u (local.get $type)))
                (if (i32.eq (local.get $letter) (i32.const 115)) (then
                    (call $set_error (i32.const 1040) (i32.const 20))
                    (return (i64.extend_i32_u (i32.const -8)))))
                (if (i32.eq (local.get $letter) (i32.const 116)) (then unreachable))
                (if (i32.eq (local.get $letter) (i32.const 108)) (then (loop (br 0))))
                (if (i32.eq (local.get $letter) (i32.const 99)) (then
                    (loop (drop (call $get (i32.const 1024) (i32.const 3))) (br 0))))
                (local.get $answer)))"#
    ))
}

/// Answers with what it was asked, in brackets.
struct Ai;

#[async_trait]
impl AiBackend for Ai {
    async fn chat(&self, request: AiRequest) -> std::result::Result<AiReply, BackendError> {
        match request.prompt.as_str() {
            "fail" => Err(BackendError::new(BackendErrorKind::Upstream, "the model is away")),
            "wait" => std::future::pending().await,
            prompt => Ok(AiReply { text: format!("[{prompt}]"), prompt_tokens: 11, reply_tokens: 7 }),
        }
    }
}

/// Answers with the header it was sent, as a careless server does.
struct Http;

#[async_trait]
impl HttpBackend for Http {
    async fn post(&self, request: HttpRequest) -> std::result::Result<HttpResponse, BackendError> {
        let (_, secret) = request.secret_headers(&request.url).next().expect("the manifest names it");
        let secret = secret.expose();
        let body = format!("you sent {secret}, and in JSON {}", serde_json::Value::from(secret));
        Ok(HttpResponse { status: 200, body: body.into(), requests: 3 })
    }
}

fn host() -> Host {
    let host = Host::builder().memory(InMemory::new()).ai(Ai).http(Http);
    host.secrets(Secrets::new().with("TOKEN", SECRET)).build()
}

fn options() -> LoadOptions {
    let manifest: Manifest = r#"
        name = "agent"
        version = "1.0.0"
        [permissions]
        ai = true
        [permissions.http]
        allow = ["hooks.test"]
        [[permissions.http.secrets]]
        name = "TOKEN"
        host = "hooks.test"
        header = "authorization"
        [config.lang]
        type = "string"
        [limits]
        fuel = 1000000
        deadline_ms = 60000
    "#
    .parse()
    .unwrap();
    LoadOptions::default().manifest(manifest).recordable(true).config("lang", "en")
}

fn skill(compiler: Compiler, options: LoadOptions) -> WasmSkill {
    let runtime = WasmRuntime::builder().compiler(compiler).build().unwrap();
    let builder = WasmSkillBuilder::new().name("agent").wasm_bytes(agent("key")).runtime(&runtime).host(&host());
    builder.options(options).build().unwrap()
}

/// Sends an event and gives its recording, after it went through bytes.
#[track_caller]
fn record(skill: &WasmSkill, event: &str, data: &str) -> Recording {
    let recording = try_record(skill, event, data).unwrap();
    Recording::from_bytes(recording.to_bytes()).unwrap()
}

#[track_caller]
fn try_record(skill: &WasmSkill, event: &str, data: &str) -> Result<Recording> {
    let recorder = Recorder::new();
    drop(skill.run(Event::new(event, data.to_owned()).recorded_by(&recorder)));
    let mut taken = recorder.take();
    assert_eq!((taken.len(), recorder.take().len()), (1, 0));
    taken.remove(0)
}

/// What a replay finds.
#[track_caller]
fn verdict(recording: &Recording, replay: Replay) -> String {
    recording.replay(&replay).unwrap().verdict.to_string()
}

#[test]
fn every_ending_replays_on_every_compiler() {
    let limited = |resource, amount| options().at_most(resource, amount);
    let cases = [
        ("ok", "why", options(), "ok"),
        ("ok", "fail", options(), "upstream_error"),
        ("status", "why", options(), "skill_failed"),
        ("trap", "why", options(), "trap_unreachable"),
        ("loop", "why", options(), "out_of_fuel"),
        ("calls", "why", options(), "out_of_host_calls"),
        ("ok", "why", limited(Resource::AiTokens, 20), "ok"),
        ("ok", "why", limited(Resource::HttpRequests, 0), "out_of_http_requests"),
        ("ok", "why", limited(Resource::BytesOut, 12), "out_of_bytes_out"),
        ("ok", "why", limited(Resource::LogBytes, 4), "out_of_log_bytes"),
        ("ok", "why", options().deny_http().deny_memory(), "ok"),
    ];
    for recorded_on in COMPILERS {
        for (event, data, options, ending) in &cases {
            let recording = record(&skill(*recorded_on, options.clone().fuel(1_000_000)), event, data);
            let found = recording.ending().result.as_ref().map_or_else(|failure| failure.code.as_str(), |_| "ok");
            assert_eq!(found, *ending, "{event} {data}");
            for compiler in COMPILERS {
                let replayed = recording.replay(&Replay::new().compiler(*compiler)).unwrap();
                assert_eq!(replayed.verdict, Verdict::Same, "{event} {data}: {}", replayed.verdict);
                assert_eq!(&replayed.ending, recording.ending());
                assert_eq!(replayed.calls, recording.calls().len());
                let receipt = match &replayed.result {
                    Ok(response) => response.receipt().copied(),
                    Err(error) => error.receipt().copied(),
                };
                assert_eq!(receipt.unwrap().limits.deadline, Duration::from_secs(60));
            }
        }
    }
}

#[test]
fn a_recording_says_what_happened() {
    let recording = record(&skill(Compiler::default(), options()), "ok", "why");
    assert_eq!((recording.skill().as_str(), recording.compiler()), ("agent", "cranelift"));
    assert_eq!(recording.event(), &Event::new("ok", "why"));
    assert_eq!(recording.init_log()[0].message, "lang");
    assert_eq!(recording.init_calls().len(), 2);
    assert!(recording.manifest().contains("\"hooks.test\""), "{}", recording.manifest());
    let names: Vec<_> = recording.calls().iter().map(|entry| entry.call.name()).collect();
    assert_eq!(
        names,
        ["host_memory_set", "host_memory_get", "host_config_get", "host_ai_chat", "host_log", "host_http_post"]
    );
    assert_eq!(recording.times().len(), 6);
    assert!(recording.times().iter().map(|call| call.fuel).is_sorted(), "{:?}", recording.times());
    assert!(recording.times().iter().all(|call| call.answered >= Some(call.asked)));
}

#[test]
fn no_secret_is_in_a_recording() {
    let agent = skill(Compiler::default(), options());
    let recording = record(&agent, "ok", "why");
    let Answer::Replied(HostReply::Bytes(reply)) = &recording.calls()[5].answer else { panic!("the server answered") };
    assert_eq!(reply, "you sent [secret], and in JSON \"[secret]\"");
    let bytes = recording.to_bytes().to_ascii_lowercase();
    assert!(!bytes.windows(SECRET.len()).any(|window| window == SECRET.as_bytes()));

    // A skill that is told a secret outright may use it; nobody keeps it.
    for data in [SECRET.to_owned(), format!("what is {}?", SECRET.to_uppercase())] {
        let error = try_record(&agent, "ok", &data).unwrap_err();
        assert_eq!(error.code(), "cannot_record");
        assert!(
            error.to_string().contains("the secret `TOKEN` would be in the recording: it is in the event"),
            "{error}"
        );
        assert!(!error.to_string().contains(SECRET), "{error}");
    }
    let told = skill(Compiler::default(), options().config("lang", SECRET));
    let error = try_record(&told, "ok", "why").unwrap_err().to_string();
    assert!(error.contains("it is in the event's host call 2, host_config_get"), "{error}");
}

#[test]
fn a_changed_module_names_the_first_call_that_differs() {
    let recording = record(&skill(Compiler::default(), options()), "ok", "why");
    let changed = verdict(&recording, Replay::new().module(agent("kex")));
    assert!(
        changed.starts_with(
            "not as recorded: host call 0 is not the one in the journal: host_memory_set with another key"
        ),
        "{changed}"
    );

    // One that does the same in another way is the same.
    let mut roundabout = agent("key");
    // A custom section without a name or anything in it.
    roundabout.extend([0, 1, 0]);
    assert_eq!(recording.replay(&Replay::new().module(roundabout)).unwrap().verdict, Verdict::Same);

    let mute = wat(r#"(module (memory (export "memory") 1)
        (func (export "skill_on_event") (param i32 i32 i32 i32) (result i64) (i64.const 0)))"#);
    let error = recording.replay(&Replay::new().module(mute)).unwrap_err();
    assert_eq!(error.code(), "diverged");
    assert!(error.to_string().contains("the run ended; the journal has host_log with 4 bytes"), "{error}");
}

#[test]
fn a_replay_stops_before_a_call() {
    let recording = record(&skill(Compiler::default(), options()), "ok", "why");
    for call in 0..recording.calls().len() {
        let replayed = recording.replay(&Replay::new().until(call)).unwrap();
        assert_eq!(replayed.verdict, Verdict::StoppedBefore { call });
        assert_eq!(replayed.calls, call);
        assert_eq!(replayed.ending.log.len(), usize::from(call > 4));
        assert_eq!(replayed.ending.fuel, recording.times()[call].fuel);
    }
    assert_eq!(verdict(&recording, Replay::new().until(6)), "the same as recorded");
}

#[test]
fn an_edited_reply_shows_what_would_have_happened() {
    let recording = record(&skill(Compiler::default(), options()), "ok", "why");
    let bytes = |text: &'static str| HostReply::Bytes(text.into());

    // The skill goes on with it until it asks for something that nobody has answered.
    let replayed = recording.replay(&Replay::new().edit(3, bytes("[no]"))).unwrap();
    let shown = replayed.verdict.to_string();
    assert!(shown.contains("host call 4: host_log with another message"), "{shown}");
    assert!(shown.contains("the recording has no answer to host call 5: host_http_post with another body"), "{shown}");
    assert_eq!(replayed.ending.log[0].message, "[no]");

    // Here it ends before.
    let replayed = recording.replay(&Replay::new().edit(3, HostReply::Status(Status::TimedOut))).unwrap();
    let shown = replayed.verdict.to_string();
    assert!(shown.contains("the run ended; the journal has host_log"), "{shown}");
    assert_eq!(replayed.ending.result.as_ref().unwrap_err().code, "timed_out");

    // And here nothing depends on it.
    assert_eq!(
        verdict(&recording, Replay::new().edit(5, bytes("thanks"))),
        "with the edited reply: the same as recorded"
    );

    let error = recording.replay(&Replay::new().edit(0, bytes("x"))).unwrap_err().to_string();
    assert_eq!(error, "host call 0, host_memory_set, answers a status, not bytes");
    let error = recording.replay(&Replay::new().edit(6, HostReply::OK)).unwrap_err().to_string();
    assert_eq!(error, "there is no host call 6 to edit: the recording has 6, counted from 0");
}

#[test]
fn an_event_that_was_stopped_replays_to_where_it_was() {
    for (event, data, calls) in [("ok", "wait", 4), ("loop", "why", 6)] {
        let mut manifest: Manifest =
            "name = \"agent\"\nversion = \"1.0.0\"\n[permissions]\nai = true\nhttp.allow = [\"hooks.test\"]"
                .parse()
                .unwrap();
        manifest.limits.engine.fuel = u64::MAX;
        let options = LoadOptions::default().manifest(manifest).recordable(true).deadline(Duration::from_millis(200));
        let recording = record(&skill(Compiler::default(), options), event, data);
        assert_eq!(recording.ending().result.as_ref().unwrap_err().code, "deadline_exceeded");
        assert_eq!(recording.calls().len(), calls);
        for compiler in COMPILERS {
            let replayed = recording.replay(&Replay::new().compiler(*compiler)).unwrap();
            assert_eq!(replayed.verdict, Verdict::SameUntilStopped, "{event}: {}", replayed.verdict);
        }
        assert!(verdict(&recording, Replay::new().module(agent("kex"))).starts_with("not as recorded"));
    }
}

#[test]
fn events_are_recorded_through_a_manager() {
    let manager = SkillManager::new(host()).unwrap();
    manager.load_wasm("agent", &agent("key"), options()).unwrap();
    let recorder = Recorder::new();
    tokio_threads().block_on(async {
        manager.send_event("agent", Event::new("ok", "why").recorded_by(&recorder)).await.unwrap();
        manager.send_event("agent", Event::new("ok", "unrecorded")).await.unwrap();
        // One whose sender goes leaves nothing.
        let sent = tokio::spawn(manager.send_event("agent", Event::new("ok", "wait").recorded_by(&recorder)));
        eventually(|| manager.info("agent").unwrap().running == 1);
        sent.abort();
        assert!(sent.await.unwrap_err().is_cancelled());
        manager.shutdown().await;
    });
    let taken = recorder.take();
    let [Ok(recording)] = &taken[..] else { panic!("one recording: {taken:?}") };
    assert_eq!(recording.event(), &Event::new("ok", "why"));
    assert_eq!(recording.replay(&Replay::new()).unwrap().verdict, Verdict::Same);
}

#[test]
fn a_kept_skill_is_recorded_at_its_first_event_only() {
    for compiler in COMPILERS {
        let manifest: Manifest = "name = \"count\"\nversion = \"1.0.0\"\nstate = \"kept\"".parse().unwrap();
        let runtime = WasmRuntime::builder().compiler(*compiler).build().unwrap();
        let builder = WasmSkillBuilder::new().name("count").wasm_bytes(counting()).runtime(&runtime);
        let skill = builder.options(LoadOptions::default().manifest(manifest).recordable(true)).build().unwrap();
        let first = record(&skill, "tick", "");
        assert_eq!(first.ending().result.as_deref(), Ok(&b"A"[..]));
        for compiler in COMPILERS {
            assert_eq!(verdict(&first, Replay::new().compiler(*compiler)), "the same as recorded");
        }
        let error = try_record(&skill, "tick", "").unwrap_err();
        assert!(error.to_string().contains("only its first one after loading can be recorded"), "{error}");
        // The event itself came to pass.
        assert_eq!(skill.run(Event::tick(0)).unwrap().text().unwrap(), "C");
    }
}

#[test]
fn what_cannot_be_recorded_says_why() {
    let skill = WasmSkillBuilder::new().name("count").wasm_bytes(counting()).build().unwrap();
    let error = try_record(&skill, "tick", "").unwrap_err();
    assert!(error.to_string().contains("`LoadOptions::recordable(true)`"), "{error}");

    let agent = self::skill(Compiler::default(), options());
    let error = try_record(&agent, &"t".repeat(1 << 20), "").unwrap_err();
    assert!(error.to_string().ends_with("the event did not run"), "{error}");
}

#[test]
fn a_damaged_file_is_an_error_and_a_newer_one_says_so() {
    let recording = record(&skill(Compiler::default(), options()), "ok", "why");
    let whole = recording.to_bytes();
    assert_eq!(Recording::from_bytes(whole.clone()).unwrap().to_bytes(), whole);
    for end in 0..whole.len() {
        let error = Recording::from_bytes(whole.slice(..end)).unwrap_err();
        assert_eq!(error.code(), "bad_recording");
    }
    let mut newer = whole.to_vec();
    newer[4] += 1;
    let error = Recording::from_bytes(newer.into()).unwrap_err().to_string();
    assert!(error.contains("version 2") && error.contains("use a newer one"), "{error}");
    // Any byte changed: an error, or a recording that replays to some verdict.
    let mut read = 0;
    for at in (0..whole.len()).step_by(7) {
        let mut changed = whole.to_vec();
        changed[at] ^= 0x55;
        if let Ok(recording) = Recording::from_bytes(changed.into()) {
            read += 1;
            if read % 20 == 0 {
                drop(recording.replay(&Replay::new()).map(|replayed| replayed.verdict.to_string()));
            }
        }
    }
    assert!(read > 20, "{read}");
}

#[test]
fn a_folder_of_recordings_is_a_test() {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("recordings");
    drop(std::fs::remove_dir_all(&folder));
    std::fs::create_dir_all(&folder).unwrap();
    let failure = |module: Option<&[u8]>| {
        let panic = catch_unwind(AssertUnwindSafe(|| replay_folder(&folder, module))).unwrap_err();
        panic.downcast_ref::<String>().unwrap().clone()
    };
    assert!(failure(None).contains("there is no recording (*.cisrec) in"));

    let agent_skill = skill(Compiler::default(), options());
    for (name, event, data) in [("why", "ok", "why"), ("fail", "ok", "fail"), ("trap", "trap", "why")] {
        record(&agent_skill, event, data).write(folder.join(name).with_extension("cisrec")).unwrap();
    }
    replay_folder(&folder, None);
    replay_folder(&folder, Some(&agent("key")));
    let told = failure(Some(&agent("kex")));
    assert!(told.contains("why.cisrec on cranelift: not as recorded: host call 0"), "{told}");

    std::fs::write(folder.join("no.cisrec"), "CISR").unwrap();
    assert!(failure(None).contains("no.cisrec: the recording is damaged"));
}

#[test]
fn calls_are_kept_as_they_were_made() {
    let recording = record(&skill(Compiler::default(), options()), "ok", "fail");
    let [.., ask] = recording.calls() else { panic!("calls") };
    assert_eq!(ask.call, HostCall::AiChat { prompt: "fail".into() });
    let message = "the model is away".into();
    assert_eq!(ask.answer, Answer::Refused { status: Status::UpstreamError, message });
}
