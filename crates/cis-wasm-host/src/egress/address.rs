//! What an IP address is for.
//!
//! IPv4 lists what is not public. IPv6 is closed: only `2000::/3` has public addresses, and what is special inside it is
//! listed. From the IANA special-purpose registries, with what clouds put beside them.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{Ipv4Net, Ipv6Net};

/// What an address is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum AddressClass {
    /// For tests of network gear.
    Benchmarking,
    /// A cloud's own service on an otherwise public address.
    CloudService,
    /// For examples in documents.
    Documentation,
    /// An IPv4 address inside an IPv6 one: mapped, compatible, translated or tunnelled. Whatever it leads to, it leads
    /// around a check of the IPv4 address.
    EmbeddedIpv4,
    /// One link only. Clouds have their metadata services here.
    LinkLocal,
    /// This machine.
    Loopback,
    /// A group.
    Multicast,
    /// A private network.
    Private,
    /// Anyone's, on the internet.
    Public,
    /// For protocols, or for nothing yet.
    Reserved,
    /// Between a provider and its customers (carrier-grade NAT).
    Shared,
    /// None.
    Unspecified,
}

impl AddressClass {
    /// The class of an address.
    pub fn of(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(address) => of_v4(address),
            IpAddr::V6(address) => of_v6(address),
        }
    }

    /// What an operator reads.
    pub const fn describe(self) -> &'static str {
        match self {
            AddressClass::Benchmarking => "a benchmarking address",
            AddressClass::CloudService => "a cloud's own service",
            AddressClass::Documentation => "a documentation address",
            AddressClass::EmbeddedIpv4 => "an IPv4 address inside an IPv6 address",
            AddressClass::LinkLocal => "a link-local address",
            AddressClass::Loopback => "a loopback address",
            AddressClass::Multicast => "a multicast address",
            AddressClass::Private => "a private address",
            AddressClass::Public => "a public address",
            AddressClass::Reserved => "a reserved address",
            AddressClass::Shared => "a shared (carrier-grade NAT) address",
            AddressClass::Unspecified => "no address",
        }
    }
}

impl fmt::Display for AddressClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.describe())
    }
}

const fn v4(a: u8, b: u8, c: u8, d: u8, prefix: u8) -> Ipv4Net {
    Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, d), prefix)
}

/// An IPv6 network by its first four groups; what follows is 0.
const fn v6(a: u16, b: u16, c: u16, d: u16, prefix: u8) -> Ipv6Net {
    Ipv6Net::new_assert(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0), prefix)
}

/// The first network that holds an address decides; one that no network holds is public.
const SPECIAL_V4: [(Ipv4Net, AddressClass); 18] = [
    (v4(0, 0, 0, 0, 32), AddressClass::Unspecified),
    (v4(0, 0, 0, 0, 8), AddressClass::Reserved),
    (v4(10, 0, 0, 0, 8), AddressClass::Private),
    (v4(100, 64, 0, 0, 10), AddressClass::Shared),
    (v4(127, 0, 0, 0, 8), AddressClass::Loopback),
    // Azure's wire server and DNS.
    (v4(168, 63, 129, 16, 32), AddressClass::CloudService),
    (v4(169, 254, 0, 0, 16), AddressClass::LinkLocal),
    (v4(172, 16, 0, 0, 12), AddressClass::Private),
    (v4(192, 0, 0, 0, 24), AddressClass::Reserved),
    (v4(192, 0, 2, 0, 24), AddressClass::Documentation),
    // 6to4 relays.
    (v4(192, 88, 99, 0, 24), AddressClass::Reserved),
    (v4(192, 168, 0, 0, 16), AddressClass::Private),
    (v4(198, 18, 0, 0, 15), AddressClass::Benchmarking),
    (v4(198, 51, 100, 0, 24), AddressClass::Documentation),
    (v4(203, 0, 113, 0, 24), AddressClass::Documentation),
    (v4(224, 0, 0, 0, 4), AddressClass::Multicast),
    (v4(255, 255, 255, 255, 32), AddressClass::Reserved),
    (v4(240, 0, 0, 0, 4), AddressClass::Reserved),
];

/// The first network that holds an address decides; the last holds all.
const SPECIAL_V6: [(Ipv6Net, AddressClass); 19] = [
    (Ipv6Net::new_assert(Ipv6Addr::UNSPECIFIED, 128), AddressClass::Unspecified),
    (Ipv6Net::new_assert(Ipv6Addr::LOCALHOST, 128), AddressClass::Loopback),
    // IPv4-compatible.
    (v6(0, 0, 0, 0, 96), AddressClass::EmbeddedIpv4),
    // IPv4-mapped.
    (Ipv6Net::new_assert(Ipv6Addr::new(0, 0, 0, 0, 0, 0xFFFF, 0, 0), 96), AddressClass::EmbeddedIpv4),
    // Stateless translation.
    (Ipv6Net::new_assert(Ipv6Addr::new(0, 0, 0, 0, 0xFFFF, 0, 0, 0), 96), AddressClass::EmbeddedIpv4),
    // NAT64, well known and local.
    (v6(0x64, 0xFF9B, 0, 0, 96), AddressClass::EmbeddedIpv4),
    (v6(0x64, 0xFF9B, 1, 0, 48), AddressClass::EmbeddedIpv4),
    // Teredo.
    (v6(0x2001, 0, 0, 0, 32), AddressClass::EmbeddedIpv4),
    (v6(0x2001, 2, 0, 0, 48), AddressClass::Benchmarking),
    (v6(0x2001, 0xDB8, 0, 0, 32), AddressClass::Documentation),
    // Protocol assignments: ORCHID and others.
    (v6(0x2001, 0, 0, 0, 23), AddressClass::Reserved),
    // 6to4.
    (v6(0x2002, 0, 0, 0, 16), AddressClass::EmbeddedIpv4),
    (v6(0x3FFF, 0, 0, 0, 20), AddressClass::Documentation),
    (v6(0x2000, 0, 0, 0, 3), AddressClass::Public),
    (v6(0xFC00, 0, 0, 0, 7), AddressClass::Private),
    (v6(0xFE80, 0, 0, 0, 10), AddressClass::LinkLocal),
    // Site-local, given up in 2004 and still routed in places.
    (v6(0xFEC0, 0, 0, 0, 10), AddressClass::Private),
    (v6(0xFF00, 0, 0, 0, 8), AddressClass::Multicast),
    (v6(0, 0, 0, 0, 0), AddressClass::Reserved),
];

fn of_v4(address: Ipv4Addr) -> AddressClass {
    let special = SPECIAL_V4.iter().find(|(network, _)| network.contains(&address));
    special.map_or(AddressClass::Public, |(_, class)| *class)
}

fn of_v6(address: Ipv6Addr) -> AddressClass {
    let special = SPECIAL_V6.iter().find(|(network, _)| network.contains(&address));
    let class = special.map_or(AddressClass::Reserved, |(_, class)| *class);
    // ISATAP: any prefix, then 0000:5EFE or 0200:5EFE and an IPv4 address.
    let [.., high, low, _, _] = address.segments();
    let isatap = low == 0x5EFE && (high == 0 || high == 0x0200);
    if class == AddressClass::Public && isatap { AddressClass::EmbeddedIpv4 } else { class }
}
