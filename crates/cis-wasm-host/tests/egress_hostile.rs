//! The table of hostile URLs: each dies where the table says, and no forbidden connection is made.
#![cfg(feature = "http")]

mod support;

use std::io::Write;
use std::net::IpAddr;

use cis_wasm_abi::Status;
use cis_wasm_host::{AddressClass, EgressPolicy, HostReply};
use support::egress::{Names, Posted, Poster};
use support::server::{Server, redirect, response};
use url::Url;

/// What stops a case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Where {
    Parse,
    Grant,
    Guard,
}

struct Case {
    line: usize,
    stops: Where,
    url: String,
    addresses: Vec<IpAddr>,
}

impl Case {
    /// The names that the URL leads to, if it leads to any.
    fn resolver(&self) -> Names {
        let names = Names::default();
        if let (Ok(url), false) = (Url::parse(&self.url), self.addresses.is_empty()) {
            names.answer(url.host_str().unwrap(), [self.addresses.clone()]);
        }
        names
    }

    /// A rule that permits this URL's origin, whatever it is.
    fn rule(&self) -> String {
        let url = Url::parse(&self.url).unwrap();
        format!("{}://{}:*", url.scheme(), url.host_str().unwrap())
    }
}

/// The table, with the trap's port in it.
fn cases(trap: &Server) -> Vec<Case> {
    let lines = include_str!("hostile_urls.txt").lines().enumerate();
    let mut cases = Vec::new();
    for (index, line) in lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#')) {
        let line_number = index + 1;
        let (case, trick) =
            line.split_once(" # ").unwrap_or_else(|| panic!("line {line_number} does not say its trick"));
        assert!(!trick.trim().is_empty());
        let (stops, rest) = case.split_once(' ').unwrap();
        let (url, addresses) = rest.split_once(" = ").unwrap_or((rest, ""));
        let stops = match stops {
            "parse" => Where::Parse,
            "grant" => Where::Grant,
            "guard" => Where::Guard,
            other => panic!("line {line_number}: `{other}` stops nothing"),
        };
        let url = url.replace("{port}", &trap.port().to_string()).replace("{tab}", "\t").replace("{nl}", "\n");
        let addresses =
            addresses.split(',').filter(|text| !text.is_empty()).map(|text| text.parse().unwrap()).collect();
        cases.push(Case { line: line_number, stops, url, addresses });
    }
    cases
}

/// Answers on every address of this machine, and counts.
fn trap() -> Server {
    Server::start_everywhere(|_, stream| stream.write_all(&response("200 OK", "", b"trapped")))
}

#[track_caller]
fn stopped(case: &Case, posted: &Posted, status: Status, why: &str) {
    assert_eq!(posted.reply, HostReply::Status(status), "line {}: {} ({})", case.line, case.url, posted.why);
    assert!(posted.why.contains(why), "line {}: {} died of `{}`", case.line, case.url, posted.why);
}

const GRANTED: &[&str] = &["api.example.com", "*.example.org"];

#[test]
fn the_table_is_long() {
    let cases = cases(&trap());
    assert!(cases.len() >= 80, "{}", cases.len());
    for stops in [Where::Parse, Where::Grant, Where::Guard] {
        assert!(cases.iter().any(|case| case.stops == stops), "{stops:?}");
    }
}

#[test]
fn a_narrow_grant_stops_all_of_them_before_any_look_up() {
    let trap = trap();
    for case in cases(&trap) {
        let names = case.resolver();
        let posted = Poster::resolving(EgressPolicy::deny_private(), &names, GRANTED).post(&case.url, b"");
        match case.stops {
            Where::Parse => stopped(&case, &posted, Status::InvalidArgument, "the URL"),
            Where::Grant | Where::Guard => stopped(&case, &posted, Status::Denied, "permissions.http.allow"),
        }
        assert_eq!(names.asked(), [""; 0], "line {}", case.line);
    }
    assert_eq!(trap.connections(), 0);
}

#[test]
fn the_guard_stops_what_a_grant_permits() {
    let trap = trap();
    for case in cases(&trap).into_iter().filter(|case| case.stops == Where::Guard) {
        let poster = Poster::resolving(EgressPolicy::deny_private(), &case.resolver(), &[&case.rule()]);
        stopped(&case, &poster.post(&case.url, b""), Status::Denied, "which the egress policy does not allow");
    }
    assert_eq!(trap.connections(), 0);
}

#[test]
fn the_guard_stops_what_a_redirect_leads_to() {
    let trap = trap();
    let policy = |server: &Server| EgressPolicy::deny_private().allow_host(&server.authority()).unwrap();
    for case in cases(&trap).into_iter().filter(|case| case.stops == Where::Guard) {
        let server = Server::start({
            let case = case.url.clone();
            move |seen, stream| {
                // What a header cannot carry, or what means something else there, is sent the way the parser writes it.
                let base = Url::parse(&format!("http://{}/", seen.header("host").unwrap())).unwrap();
                let url = Url::parse(&case).unwrap();
                let raw = case.is_ascii() && !case.contains(['\t', '\n']) && base.join(&case) == Ok(url.clone());
                stream.write_all(&redirect(307, if raw { &case } else { url.as_str() }))
            }
        });
        let rules = [format!("http://{}", server.authority()), case.rule()];
        let poster = Poster::resolving(policy(&server), &case.resolver(), &rules.each_ref().map(String::as_str));
        let posted = poster.post(&server.url("/"), b"");
        stopped(&case, &posted, Status::Denied, "which the egress policy does not allow");
        assert_eq!(server.connections(), 1, "line {}", case.line);
    }
    assert_eq!(trap.connections(), 0);
}

#[test]
fn the_grant_stops_what_a_redirect_leads_to() {
    let trap = trap();
    for case in cases(&trap).into_iter().filter(|case| case.stops == Where::Grant && case.url.is_ascii()) {
        let server = Server::answering(redirect(307, &case.url));
        let policy = EgressPolicy::deny_private().allow_host(&server.authority()).unwrap();
        let rules = [&format!("http://{}", server.authority())[..], GRANTED[0], GRANTED[1]];
        let names = Names::default();
        let posted = Poster::resolving(policy, &names, &rules).post(&server.url("/"), b"");
        assert_eq!(posted.reply, HostReply::Status(Status::Denied), "line {}: {}", case.line, posted.why);
        assert_eq!(names.asked(), [""; 0], "line {}", case.line);
        assert_eq!(server.connections(), 1, "line {}", case.line);
    }
}

/// The cases can fail: with leave, those that lead to this machine are trapped.
#[test]
fn the_trap_is_one() {
    let trap = trap();
    let policy = || {
        let networks = ["127.0.0.0/8", "0.0.0.0/32", "::1/128", "::/128", "::ffff:127.0.0.0/104"];
        networks.iter().fold(EgressPolicy::deny_private(), |policy, network| policy.allow_network(network).unwrap())
    };
    let here = |case: &Case| {
        let host = Url::parse(&case.url).unwrap().host().unwrap().to_owned();
        let literal = match host {
            url::Host::Ipv4(address) => vec![IpAddr::V4(address)],
            url::Host::Ipv6(address) => vec![IpAddr::V6(address)],
            url::Host::Domain(_) => case.addresses.clone(),
        };
        !literal.is_empty() && literal.iter().all(|address| matches!(address, IpAddr::V4(v4) if v4.is_loopback()))
    };
    let mut reached = 0;
    for case in cases(&trap).into_iter().filter(|case| case.stops == Where::Guard && here(case)) {
        if case.url.starts_with("https") || !case.url.contains(&trap.port().to_string()) {
            continue;
        }
        let poster = Poster::resolving(policy(), &case.resolver(), &[&case.rule()]);
        poster.post(&case.url, b"").is(b"trapped");
        reached += 1;
    }
    assert!(reached >= 25, "{reached}");
    assert!(trap.connections() >= reached);
}

#[test]
fn public_addresses_are_public() {
    for address in [
        "1.1.1.1",
        "8.8.8.8",
        "93.184.216.34",
        "9.255.255.255",
        "11.0.0.0",
        "100.63.255.255",
        "100.128.0.0",
        "126.255.255.255",
        "128.0.0.0",
        "169.253.255.255",
        "169.255.0.0",
        "172.15.255.255",
        "172.32.0.0",
        "192.0.1.0",
        "192.0.3.0",
        "192.167.255.255",
        "192.169.0.0",
        "198.17.255.255",
        "198.20.0.0",
        "223.255.255.255",
        "2606:4700::1111",
        "2001:4860:4860::8888",
        "2001:200::1",
        "2003::1",
        "2a00::1",
        "3ffe::1",
    ] {
        assert_eq!(AddressClass::of(address.parse().unwrap()), AddressClass::Public, "{address}");
    }
}

#[test]
fn special_addresses_have_their_class() {
    for (address, class) in [
        ("0.0.0.0", AddressClass::Unspecified),
        ("0.0.0.1", AddressClass::Reserved),
        ("10.1.2.3", AddressClass::Private),
        ("100.64.0.1", AddressClass::Shared),
        ("127.0.0.1", AddressClass::Loopback),
        ("168.63.129.16", AddressClass::CloudService),
        ("169.254.169.254", AddressClass::LinkLocal),
        ("198.18.0.1", AddressClass::Benchmarking),
        ("203.0.113.1", AddressClass::Documentation),
        ("224.0.0.1", AddressClass::Multicast),
        ("255.255.255.255", AddressClass::Reserved),
        ("::", AddressClass::Unspecified),
        ("::1", AddressClass::Loopback),
        ("::2", AddressClass::EmbeddedIpv4),
        ("::ffff:1.1.1.1", AddressClass::EmbeddedIpv4),
        ("64:ff9b::1.1.1.1", AddressClass::EmbeddedIpv4),
        ("64:ff9b:1:2::1", AddressClass::EmbeddedIpv4),
        ("2001::1", AddressClass::EmbeddedIpv4),
        ("2002::1", AddressClass::EmbeddedIpv4),
        ("2001:2::1", AddressClass::Benchmarking),
        ("2001:db8::1", AddressClass::Documentation),
        ("fd00::1", AddressClass::Private),
        ("fe80::1", AddressClass::LinkLocal),
        ("fec0::1", AddressClass::Private),
        ("ff02::1", AddressClass::Multicast),
        ("1::", AddressClass::Reserved),
        ("8000::", AddressClass::Reserved),
    ] {
        assert_eq!(AddressClass::of(address.parse().unwrap()), class, "{address}");
    }
}
