//! The cases in `cases.json`, natively.

use counter::Counter;

#[test]
fn cases() {
    cis_skill_sdk::native::cases::check::<Counter>(include_str!("cases.json"));
}
