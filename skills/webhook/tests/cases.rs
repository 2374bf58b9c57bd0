//! The cases in `cases.json`, natively.

use webhook::Webhook;

#[test]
fn cases() {
    cis_skill_sdk::native::cases::check::<Webhook>(include_str!("cases.json"));
}
