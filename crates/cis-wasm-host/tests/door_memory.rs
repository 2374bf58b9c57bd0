//! Which key lies where: a skill's own namespace, shared ones, and the rules of a key.

mod support;

use bytes::Bytes;
use cis_wasm_abi::{Keys, Status, ceilings};
use cis_wasm_host::{Access, Grants, Host, HostCall, HostReply, InMemory};
use support::{block_on, event};

fn sharing(name: &str, access: Access) -> Grants {
    Grants { shared_memory: [(name.parse().unwrap(), access)].into(), ..Grants::default() }
}

struct Skill<'h> {
    host: &'h Host,
    name: &'static str,
    grants: Grants,
}

impl Skill<'_> {
    fn call(&self, call: HostCall) -> HostReply {
        block_on(self.host.call(&mut event(self.name, self.grants.clone()), call)).unwrap()
    }

    fn get(&self, key: &str) -> HostReply {
        self.call(HostCall::MemoryGet { key: key.into() })
    }

    fn set(&self, key: &str, value: &str) -> HostReply {
        self.call(HostCall::MemorySet { key: key.into(), value: value.to_owned().into() })
    }

    fn delete(&self, key: &str) -> HostReply {
        self.call(HostCall::MemoryDelete { key: key.into() })
    }

    #[track_caller]
    fn list(&self, prefix: &str) -> Vec<String> {
        let HostReply::Bytes(list) = self.call(HostCall::MemoryList { prefix: prefix.into() }) else {
            panic!("no list of `{prefix}`")
        };
        Keys::new(&list).map(|key| key.unwrap().to_owned()).collect()
    }
}

fn value(value: &str) -> HostReply {
    HostReply::Bytes(value.to_owned().into())
}

const fn status(status: Status) -> HostReply {
    HostReply::Status(status)
}

#[test]
fn skills_do_not_see_each_other() {
    let host = Host::builder().memory(InMemory::new()).build();
    let one = Skill { host: &host, name: "one", grants: Grants::default() };
    let two = Skill { host: &host, name: "two", grants: Grants::default() };
    assert_eq!(one.set("k", "1"), HostReply::OK);
    assert_eq!(two.get("k"), HostReply::OK);
    assert_eq!(two.delete("k"), status(Status::NotFound));
    assert_eq!(two.list(""), [""; 0]);
    for escape in ["../one/k", "skill/one/k", "one/k", "\0one\0k", "/", "k\0"] {
        assert_eq!(two.get(escape), HostReply::OK, "{escape:?}");
        assert_eq!(two.set(escape, "2"), HostReply::OK, "{escape:?}");
    }
    assert_eq!(one.get("k"), value("1"));
    assert_eq!(one.list(""), ["k"]);
    assert_eq!(one.delete("k"), HostReply::OK);
    assert_eq!(one.get("k"), HostReply::OK);
}

#[test]
fn one_name_is_another_place_shared_than_owned() {
    let host = Host::builder().memory(InMemory::new()).build();
    let owner = Skill { host: &host, name: "team", grants: Grants::default() };
    let member = Skill { host: &host, name: "member", grants: sharing("team", Access::ReadWrite) };
    owner.set("k", "owned");
    assert_eq!(member.get("@team/k"), HostReply::OK);
    member.set("@team/k", "shared");
    assert_eq!(owner.get("k"), value("owned"));
    assert_eq!(owner.get("@team/k"), status(Status::Denied));
}

#[test]
fn a_shared_namespace_is_written_by_some_and_read_by_others() {
    let host = Host::builder().memory(InMemory::new()).build();
    let writer = Skill { host: &host, name: "writer", grants: sharing("team", Access::ReadWrite) };
    let reader = Skill { host: &host, name: "reader", grants: sharing("team", Access::Read) };
    assert_eq!(writer.set("@team/plan/a", "1"), HostReply::OK);
    assert_eq!(writer.set("@team/plan/b", "2"), HostReply::OK);
    assert_eq!(writer.set("@team/other", "3"), HostReply::OK);
    assert_eq!(reader.get("@team/plan/a"), value("1"));
    // As it is asked for, so that what is listed can be got.
    assert_eq!(reader.list("@team/plan/"), ["@team/plan/a", "@team/plan/b"]);
    assert_eq!(reader.list("@team/"), ["@team/other", "@team/plan/a", "@team/plan/b"]);
    assert_eq!(reader.set("@team/plan/a", "x"), status(Status::Denied));
    assert_eq!(reader.delete("@team/plan/a"), status(Status::Denied));
    assert_eq!(writer.delete("@team/plan/a"), HostReply::OK);
    assert_eq!(reader.get("@team/plan/a"), HostReply::OK);
    assert_eq!(reader.list(""), [""; 0], "a shared key is not in the skill's own list");
}

#[test]
fn keys_have_rules() {
    let host = Host::builder().memory(InMemory::new()).build();
    let skill = Skill { host: &host, name: "skill", grants: sharing("team", Access::ReadWrite) };
    for key in ["", "@team/", "@team", "@", "@/k", "@Team/k", "@../k", "@te am/k"] {
        for reply in [skill.get(key), skill.set(key, "v"), skill.delete(key)] {
            assert_eq!(reply, status(Status::InvalidArgument), "{key:?}");
        }
    }
    let longest = "k".repeat(ceilings::KEY);
    assert_eq!(skill.set(&longest, "v"), HostReply::OK);
    assert_eq!(skill.set(&format!("@team/{longest}"), "v"), HostReply::OK);
    assert_eq!(skill.list(&longest), [longest.as_str()]);
    let longer = "k".repeat(ceilings::KEY + 1);
    for key in [longer.clone(), format!("@team/{longer}")] {
        for reply in [skill.get(&key), skill.set(&key, "v"), skill.delete(&key)] {
            assert_eq!(reply, status(Status::TooLarge));
        }
    }
}

#[test]
fn values_have_a_ceiling() {
    let host = Host::builder().memory(InMemory::new()).build();
    let skill = Skill { host: &host, name: "skill", grants: Grants::default() };
    let set = |len| HostCall::MemorySet { key: "k".into(), value: Bytes::from(vec![7; len]) };
    assert_eq!(skill.call(set(ceilings::VALUE)), HostReply::OK);
    assert_eq!(skill.call(set(ceilings::VALUE + 1)), status(Status::TooLarge));
    let HostReply::Bytes(kept) = skill.get("k") else { panic!("the first value stays") };
    assert_eq!(kept.len(), ceilings::VALUE);
}

#[test]
fn a_key_list_has_a_ceiling() {
    let host = Host::builder().memory(InMemory::new()).build();
    let skill = Skill { host: &host, name: "skill", grants: Grants::default() };
    let fill = "x".repeat(ceilings::KEY - 8);
    for n in 0..=ceilings::KEY_LIST / ceilings::KEY {
        assert_eq!(skill.set(&format!("{n:08}{fill}"), ""), HostReply::OK);
    }
    assert_eq!(skill.call(HostCall::MemoryList { prefix: "".into() }), status(Status::TooLarge));
    assert_eq!(skill.list("0000000").len(), 10);
}

#[test]
fn the_quota_is_the_skills_own() {
    let host = Host::builder().memory(InMemory::new()).build();
    let mut scope = support::scope("skill", Grants::default());
    scope.quota.keys = 1;
    let mut event = cis_wasm_host::CallContext::new(scope.into());
    let set = |key: &str| HostCall::MemorySet { key: key.into(), value: Bytes::new() };
    assert_eq!(block_on(host.call(&mut event, set("a"))).unwrap(), HostReply::OK);
    assert_eq!(block_on(host.call(&mut event, set("b"))).unwrap(), status(Status::QuotaExceeded));
    assert!(event.last_failure.unwrap().message.contains("its quota is 1"));
    let other = Skill { host: &host, name: "other", grants: Grants::default() };
    assert_eq!(other.set("b", ""), HostReply::OK);
}
