//! Every case is held, on every compiler.

use std::process::Command;

#[test]
fn every_case_is_held() {
    let run = Command::new(env!("CARGO_BIN_EXE_cis-hostile")).output().expect("the program was built for this test");
    let said = format!("{}{}", String::from_utf8_lossy(&run.stdout), String::from_utf8_lossy(&run.stderr));
    assert!(run.status.success(), "{said}");
    assert!(said.contains(" passed, 0 failed"), "{said}");
}
