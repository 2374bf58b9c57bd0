//! Every command, briefly. The program judges itself; what is looked at here is that it came to an end and what it counted.

use std::process::Command;

#[track_caller]
fn holds(args: &[&str], says: &[&str]) {
    let ran = Command::new(env!("CARGO_BIN_EXE_cis-reliability")).args(args).output().unwrap();
    let (out, err) = (String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr));
    assert!(ran.status.success(), "{args:?}: {}\n{out}\n{err}", ran.status);
    for says in says {
        assert!(out.contains(says), "{args:?} does not say `{says}`:\n{out}\n{err}");
    }
}

#[test]
fn chaos() {
    holds(&["chaos", "--events", "600", "--seed", "7"], &["600 events, seed 7", "backend_failed", "trap_unreachable"]);
}

#[test]
fn durable() {
    holds(
        &["durable", "--rounds", "10"],
        &["10 times kill -9", "0 accepted events lost", "0 effects on memory done twice", "0 replies asked for again"],
    );
}

#[test]
fn kill9() {
    holds(&["kill9", "--rounds", "6"], &["6 times kill -9", "0 acknowledged writes lost", "0 values torn"]);
}

#[test]
fn kills() {
    holds(&["kills", "--kills", "92", "--deadline-ms", "20"], &["endless loop", "stalled HTTP", "all"]);
}

#[test]
fn neighbours() {
    holds(&["neighbours", "--events", "20"], &["alone", "beside all of them"]);
}

#[test]
fn soak() {
    holds(&["soak", "--events", "30000"], &["30000 events", "30 reloads"]);
}

#[test]
fn what_a_reload_leaves_behind_is_seen() {
    holds(&["soak", "--events", "20000", "--reload-every", "10"], &["20000 events", "2000 reloads"]);
}
