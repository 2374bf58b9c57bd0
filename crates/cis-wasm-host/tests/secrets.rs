//! Scrubbing finds a secret in every spelling that a server is likely to send back.

use bytes::Bytes;
use cis_wasm_host::{SecretValue, SecretValueError, Secrets};

#[track_caller]
fn scrubs(secrets: &Secrets, text: &str, left: &str) {
    assert_eq!(secrets.scrub(text), left);
    assert_eq!(secrets.scrub_bytes(Bytes::copy_from_slice(text.as_bytes())), left);
}

#[test]
fn a_secret_goes_wherever_it_stands() {
    let secrets = Secrets::new().with("a", "correct-horse");
    scrubs(&secrets, "correct-horse", "[secret]");
    scrubs(&secrets, "correct-horsecorrect-horse, correct-hors", "[secret][secret], correct-hors");
    scrubs(&secrets, "ünïcode correct-horse ünïcode", "ünïcode [secret] ünïcode");
    scrubs(&secrets, "", "");
}

#[test]
fn a_secret_that_begins_with_another_goes_whole() {
    let secrets = Secrets::new().with("a", "correct-horse").with("b", "correct-horse-battery");
    scrubs(&secrets, "correct-horse-battery correct-horse", "[secret] [secret]");
}

#[test]
fn a_secret_is_found_escaped() {
    let secrets = Secrets::new().with("a", r#"p"a\ss/wo rd+=&"#);
    scrubs(&secrets, r#"p"a\ss/wo rd+=&"#, "[secret]");
    scrubs(&secrets, r#"{"echo":"p\"a\\ss/wo rd+=&"}"#, r#"{"echo":"[secret]"}"#);
    scrubs(&secrets, r#"{"echo":"p\"a\\ss\/wo rd+=&"}"#, r#"{"echo":"[secret]"}"#);
    scrubs(&secrets, "q=p%22a%5Css%2Fwo+rd%2B%3D%26&r=1", "q=[secret]&r=1");
}

#[test]
fn a_text_is_scrubbed_in_capitals_too() {
    let secrets = Secrets::new().with("a", "Correct-Horse");
    assert_eq!(secrets.scrub("https://correct-horse.evil.net É CORRECT-HORSE"), "https://[secret].evil.net É [secret]");
}

#[test]
fn bytes_without_a_secret_are_not_copied() {
    let secrets = Secrets::new().with("a", "correct-horse");
    let bytes = Bytes::from_static(&[0, 159, 146, 150]);
    assert_eq!(secrets.scrub_bytes(bytes.clone()).as_ptr(), bytes.as_ptr());
}

#[test]
fn debug_shows_names_only() {
    let secrets = Secrets::new().with("token", "correct-horse");
    let shown = format!("{secrets:?} {:#?} {:?}", secrets, secrets.value("token"));
    assert!(shown.contains("token"), "{shown}");
    assert!(!shown.contains("correct"), "{shown}");
}

#[test]
fn values_that_cannot_be_scrubbed_or_sent_are_refused() {
    let refused = |value: &str| SecretValue::new(value).unwrap_err();
    assert_eq!(refused("short"), SecretValueError::TooShort);
    assert_eq!(refused("a line\r\nfeed"), SecretValueError::NotPrintable);
    assert_eq!(refused("pässword-long"), SecretValueError::NotPrintable);
    assert!(!refused("pässword-long").to_string().contains("ssword"));
    assert!(Secrets::new().insert("a", "short").is_err());
}
