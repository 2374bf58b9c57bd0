//! What the sample skills weigh, as they are built for hosts: release, stripped, with their manifests.

mod support;

use std::fs;

use support::skill;

#[track_caller]
fn at_most(name: &str, kib: u64) {
    let bytes = fs::metadata(skill(name)).unwrap().len();
    println!("{name}: {bytes} bytes");
    assert!(bytes <= kib << 10, "{name} has {bytes} bytes, more than {kib} KiB");
}

#[test]
fn a_skill_with_json_in_and_out_has_at_most_64_kib() {
    at_most("notes", 64);
    at_most("summarize", 64);
    at_most("webhook", 64);
}

#[test]
fn a_skill_without_json_has_at_most_8_kib() {
    at_most("counter", 8);
}
