//! Has the program linked for a fixed address. It holds four engines, and a process that starts one of them would otherwise
//! spend a millisecond on the addresses in the code of all: more than some of what is measured.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    if std::env::var("CARGO_CFG_TARGET_OS").is_ok_and(|os| os == "linux") {
        println!("cargo::rustc-link-arg-bins=-no-pie");
    }
}
