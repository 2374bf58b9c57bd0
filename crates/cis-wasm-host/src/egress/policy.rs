//! What the operator allows.

use std::net::IpAddr;
use std::time::Duration;

use ipnet::IpNet;
use rustls::pki_types::CertificateDer;
use url::{Host, Url};

use super::AddressClass;
use crate::unwired::{Limit, unwired};

/// Which addresses skills may reach, and how long it may take. It widens no skill's grant: both must agree.
///
/// ```
/// use std::time::Duration;
/// use cis_wasm_host::EgressPolicy;
///
/// let policy = EgressPolicy::deny_private()
///     .allow_host("127.0.0.1:8080")?
///     .allow_host("wiki.intranet")?
///     .allow_network("10.1.0.0/16")?
///     .timeout(Duration::from_secs(10));
/// # Ok::<(), cis_wasm_host::EgressPolicyError>(())
/// ```
#[derive(Clone, Debug)]
pub struct EgressPolicy {
    hosts: Vec<AllowedHost>,
    networks: Vec<IpNet>,
    roots: Vec<CertificateDer<'static>>,
    connect_timeout: Duration,
    timeout: Duration,
    max_redirects: u32,
}

#[derive(Clone, Debug)]
struct AllowedHost {
    host: Host,
    /// `None` is any.
    port: Option<u16>,
}

/// Why a text is not a host or a network.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not {wanted}: {why}")]
pub struct EgressPolicyError {
    text: String,
    wanted: &'static str,
    why: String,
}

impl EgressPolicy {
    /// Public addresses only; 5 seconds to connect, 30 for everything, at most 5 redirects.
    pub fn deny_private() -> Self {
        EgressPolicy {
            hosts: Vec::new(),
            networks: Vec::new(),
            roots: Vec::new(),
            connect_timeout: Duration::from_secs(5),
            timeout: Duration::from_secs(30),
            max_redirects: 5,
        }
    }

    /// Allows one host, as `host` or `host:port`; without a port, any.
    ///
    /// An address allows itself, for URLs that name it. A domain allows the loopback, private and shared addresses that
    /// it resolves to, and still no link-local, cloud-service or reserved ones: those need
    /// [`allow_network`](EgressPolicy::allow_network).
    ///
    /// # Errors
    ///
    /// When `host` is neither.
    pub fn allow_host(mut self, host: &str) -> Result<Self, EgressPolicyError> {
        let error = |why: &str| EgressPolicyError {
            text: host.to_owned(),
            wanted: "a host, as `host` or `host:port`",
            why: why.to_owned(),
        };
        if host.contains(['/', '@', '?', '#', '*', '\\']) {
            return Err(error("it has more than a host and a port"));
        }
        // The parser that reads the skills' URLs reads this too, so both have the same normal form. The scheme has no
        // part in it, but a parser drops its default port: each port is the default of one of the two at most.
        let parse =
            |scheme: &str| Url::parse(&format!("{scheme}://{host}/")).map_err(|parse| error(&parse.to_string()));
        let (http, https) = (parse("http")?, parse("https")?);
        let port = http.port().or(https.port());
        let host = http.host().ok_or_else(|| error("the host is missing"))?.to_owned();
        self.hosts.push(AllowedHost { host, port });
        Ok(self)
    }

    /// Allows every address of a network such as `10.1.0.0/16`, `fd00::/8` or `127.0.0.1/32`, whatever name led there.
    ///
    /// # Errors
    ///
    /// When `network` is not an address, a slash and a prefix length.
    pub fn allow_network(mut self, network: &str) -> Result<Self, EgressPolicyError> {
        let network = network.parse().map_err(|parse: ipnet::AddrParseError| EgressPolicyError {
            text: network.to_owned(),
            wanted: "a network, as `address/prefix`",
            why: parse.to_string(),
        })?;
        self.networks.push(network);
        Ok(self)
    }

    /// Trusts a root certificate (DER) beside those of the system.
    #[must_use]
    pub fn trust_root(mut self, der: impl Into<Vec<u8>>) -> Self {
        self.roots.push(CertificateDer::from(der.into()));
        self
    }

    /// How long one connection may take to come about.
    #[must_use]
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self
    }

    /// How long a whole call may take: all of its redirects, up to the last byte of the response.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// How many redirects are followed. 0 follows none: the skill's call then ends with the redirect's status.
    #[must_use]
    pub fn max_redirects(mut self, redirects: u32) -> Self {
        self.max_redirects = redirects;
        self
    }

    /// Whether the operator allowed this host of a URL by name.
    pub(super) fn names(&self, host: &Host<&str>, port: Option<u16>) -> bool {
        self.hosts.iter().any(|allowed| {
            let same = match (&allowed.host, host) {
                (Host::Domain(allowed), Host::Domain(host)) => allowed == host,
                (Host::Ipv4(allowed), Host::Ipv4(host)) => allowed == host,
                (Host::Ipv6(allowed), Host::Ipv6(host)) => allowed == host,
                _ => false,
            };
            same && (allowed.port.is_none() || allowed.port == port)
        })
    }

    /// Looks at an address that is about to be connected to.
    ///
    /// `named` says whether a domain led here that the operator allowed by name.
    pub(super) fn judge(&self, address: IpAddr, named: bool) -> Result<(), AddressClass> {
        let class = AddressClass::of(address);
        let allowed = match class {
            AddressClass::Public => true,
            AddressClass::Loopback | AddressClass::Private | AddressClass::Shared if named => true,
            _ => self.networks.iter().any(|network| network.contains(&address)),
        };
        if allowed || unwired(Limit::Egress) { Ok(()) } else { Err(class) }
    }

    pub(super) fn limits(&self) -> Limits {
        Limits { connect: self.connect_timeout, total: self.timeout, redirects: self.max_redirects }
    }

    pub(super) fn roots(&self) -> &[CertificateDer<'static>] {
        &self.roots
    }
}

impl Default for EgressPolicy {
    /// [`EgressPolicy::deny_private`].
    fn default() -> Self {
        EgressPolicy::deny_private()
    }
}

/// The numbers of a policy.
#[derive(Clone, Copy)]
pub(super) struct Limits {
    pub(super) connect: Duration,
    pub(super) total: Duration,
    pub(super) redirects: u32,
}
