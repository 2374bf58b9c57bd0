//! The reader reads what `serde_json` reads, and refuses what it refuses; and what is passed over unread has to be JSON
//! too, of which `serde_json` is not so sure.

use super::*;
use alloc_crate::collections::BTreeMap;
use alloc_crate::string::ToString;
use alloc_crate::{format, vec};
use core::fmt::Debug;

use serde::de::DeserializeOwned;
use serde_json::Value;

/// Checks a text against `serde_json`, as a `T`.
#[track_caller]
fn same<T: DeserializeOwned + PartialEq + Debug>(text: impl AsRef<[u8]>) {
    let text = text.as_ref();
    let (ours, theirs) = (read::<T>(text, "it"), serde_json::from_slice::<T>(text));
    match (&ours, &theirs) {
        (Ok(ours), Ok(theirs)) => assert_eq!(ours, theirs, "{}", String::from_utf8_lossy(text)),
        (Err(_), Err(_)) => {}
        (Err(_), Ok(_)) if serde_json::from_slice::<Value>(text).is_err() => {}
        _ => panic!("`{}`: ours {ours:?}, theirs {theirs:?}", String::from_utf8_lossy(text)),
    }
}

const TEXTS: &[&str] = &[
    "",
    " ",
    "null",
    "nul",
    "nulll",
    "true",
    "false",
    "fals",
    "True",
    "[]",
    "[",
    "]",
    "[ ]",
    "[1]",
    "[1,]",
    "[,1]",
    "[1 2]",
    "[1,2]",
    " [ 1 , 2 ] ",
    "{}",
    "{ }",
    "{",
    "}",
    r#"{"a":1}"#,
    r#"{"a":1,}"#,
    r#"{"a" 1}"#,
    r#"{a:1}"#,
    r#"{"a":}"#,
    r#"{"a":1 "b":2}"#,
    r#"{"a":1,"b":[{"c":null}]}"#,
    r#"{"a":1,"a":2}"#,
    r#"{1:2}"#,
    "0",
    "-0",
    "00",
    "01",
    "-",
    "--1",
    "+1",
    "1.",
    ".5",
    "1.5",
    "1e",
    "1e5",
    "1E+5",
    "1e-5",
    "1e999",
    "-1e999",
    "18446744073709551615",
    "18446744073709551616",
    "-9223372036854775808",
    "-9223372036854775809",
    "4294967296",
    "0.1",
    "123456789.125",
    "1 2",
    "\"\"",
    "\"a",
    "a\"",
    "\"a\"",
    "\"é\"",
    r#""\n\t\r\b\f\/\\\"""#,
    r#""\x""#,
    r#""\u0041""#,
    r#""\u00e9x""#,
    r#""\ud83d\ude00""#,
    r#""\ud83d""#,
    r#""\ude00""#,
    r#""\ud83dx""#,
    r#""\ud83d\u0041""#,
    r#""\u12""#,
    r#""\u+123""#,
    "\"\n\"",
    "\"\u{7f}\"",
    "\u{feff}1",
    "\u{a0}1",
    "//1",
    "'a'",
    "NaN",
    "Infinity",
    "[1.5, \"x\", {\"y\": [true]}]",
    r#"["a","b"]"#,
    r#"{"1":"a","-2":"b"}"#,
    r#"{"x":"a"}"#,
    r#"{"1.5":"a"}"#,
    r#""Unit""#,
    r#""Other""#,
    r#"{"Unit":null}"#,
    r#"{"New":7}"#,
    r#"{"Pair":[1,"x"]}"#,
    r#"{"Pair":[1]}"#,
    r#"{"Fields":{"a":1}}"#,
    r#"{"Fields":{}}"#,
    r#"{"New":7,"x":1}"#,
    r#"{"n":1,"text":"t"}"#,
    r#"{"text":"t","n":1,"more":{"x":[1,2,{"y":"z"}]}}"#,
    r#"{"n":-1,"text":"t"}"#,
    r#"{"n":1}"#,
    r#"{"n":1,"text":null}"#,
    r#"{"n":1,"text":"t","n":1}"#,
    r#"{"n":256,"text":"t"}"#,
    r#"{"n":1,"text":"t","tags":["a"]}"#,
    r#"{"n":1,"text":"t","ratio":2}"#,
    r#"{"n":1,"text":"t","ratio":2.5}"#,
    r#"{"n":1,"text":"t","more":[}"#,
];

#[derive(Debug, PartialEq, serde::Deserialize)]
struct Record {
    n: u8,
    text: String,
    #[serde(default)]
    tags: Vec<String>,
    ratio: Option<f64>,
}

#[derive(Debug, PartialEq, serde::Deserialize)]
enum Choice {
    Unit,
    New(u32),
    Pair(u32, String),
    Fields { a: i64 },
}

#[derive(Debug, PartialEq, serde::Deserialize)]
#[serde(untagged)]
enum Any {
    Number(f64),
    Text(String),
    List(Vec<Any>),
    Object(BTreeMap<String, Any>),
}

#[derive(Debug, PartialEq, serde::Deserialize)]
struct Wrapped(u64);

#[test]
fn reads_what_serde_json_reads() {
    for text in TEXTS {
        same::<Value>(text);
        same::<bool>(text);
        same::<u8>(text);
        same::<u32>(text);
        same::<u64>(text);
        same::<i64>(text);
        same::<f64>(text);
        same::<char>(text);
        same::<String>(text);
        same::<()>(text);
        same::<Option<u32>>(text);
        same::<Vec<u8>>(text);
        same::<Vec<Value>>(text);
        same::<(u32, u32)>(text);
        same::<BTreeMap<String, Value>>(text);
        same::<BTreeMap<i32, String>>(text);
        same::<BTreeMap<bool, String>>(text);
        same::<Record>(text);
        same::<Choice>(text);
        same::<Any>(text);
        same::<Wrapped>(text);
        same::<serde::de::IgnoredAny>(text);
    }
}

/// Every text cut short, and every one with any one byte changed.
#[test]
fn reads_broken_texts_like_serde_json() {
    // Long numbers are left out, and new exponents: `serde_json` reads those to the last digit only when told to.
    let short = |text: &&&str| text.bytes().filter(u8::is_ascii_digit).count() < 16;
    for text in TEXTS.iter().filter(short) {
        for at in 0..text.len() {
            same::<Value>(&text.as_bytes()[..at]);
            for byte in [b'"', b'\\', b'{', b']', b',', b':', b' ', b'0', b'-', b'.', b'u', 0, 0x1F, 0x80, 0xFF] {
                let mut text = text.as_bytes().to_vec();
                text[at] = byte;
                same::<Value>(&text);
                same::<Record>(&text);
                same::<Choice>(&text);
                same::<serde::de::IgnoredAny>(&text);
            }
        }
    }
}

#[test]
fn nesting_has_an_end() {
    let nested = |depth| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    for depth in [1, 100, 120] {
        same::<Value>(nested(depth));
    }
    for depth in [129, 100_000] {
        same::<Value>(nested(depth));
        let skipped = read::<serde::de::IgnoredAny>(nested(depth).as_bytes(), "it");
        assert_eq!(skipped.unwrap_err(), "it: nested too deeply at byte 129");
    }
}

#[test]
fn strings_are_borrowed_where_they_stand() {
    let text = br#"{"a":"plain","b":"\u0041"}"#;
    let map: BTreeMap<&str, Value> = read(text, "it").unwrap();
    assert_eq!(map.keys().copied().collect::<Vec<_>>(), ["a", "b"]);
    assert_eq!(read::<&str>(br#""plain""#, "it"), Ok("plain"));
    assert!(read::<&str>(br#""\u0041""#, "it").is_err());
}

#[track_caller]
fn says<T: DeserializeOwned + Debug>(text: &str, wanted: &str) {
    assert_eq!(read::<T>(text.as_bytes(), "it").unwrap_err(), wanted);
}

#[test]
fn errors_say_what_and_where() {
    says::<Record>(r#"{"n":1}"#, "it: missing field `text` at byte 6");
    says::<Record>(r#"{"n":"1"}"#, "it: expected u8, found a string at byte 5");
    says::<Record>(r#"{"n":256,"text":""}"#, "it: expected u8, found a number out of range at byte 8");
    says::<Record>(r#"{"n":1.5}"#, "it: expected u8, found a number that is not whole or too large at byte 8");
    says::<Record>(r#"[1]"#, "it: expected struct Record, found an array at byte 0");
    says::<Record>("", "it: the text ends where a value should be at byte 0");
    says::<Record>(r#"{"n":1,"n":2}"#, "it: duplicate field `n` at byte 10");
    says::<Choice>(r#""Nope""#, "it: unknown variant `Nope` at byte 6");
    says::<Vec<u8>>("[1 2]", "it: expected `,` or `]` at byte 3");
    says::<u8>("1 x", "it: more than one value at byte 2");
    says::<String>("\"a", "it: the string does not end at byte 1");
    says::<Value>("nope", "it: not a JSON value at byte 0");
}

#[test]
fn what_cannot_be_written_is_an_error() {
    let map = BTreeMap::from([(vec![1], 2)]);
    assert_eq!(write(&map).unwrap_err().code(), Error::FAILED);
    assert_eq!(write(&BTreeMap::from([(1, "x")])).unwrap(), br#"{"1":"x"}"#);
    assert_eq!("it".to_string(), read::<String>(&write("it").unwrap(), "it").unwrap());
}
