//! The cases in `cases.json`, natively.

use notes::Notes;

#[test]
fn cases() {
    cis_skill_sdk::native::cases::check::<Notes>(include_str!("cases.json"));
}
