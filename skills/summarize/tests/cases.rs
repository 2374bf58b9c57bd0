//! The cases in `cases.json`, natively.

use summarize::Summarize;

#[test]
fn cases() {
    cis_skill_sdk::native::cases::check::<Summarize>(include_str!("cases.json"));
}
