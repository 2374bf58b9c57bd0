//! What a skill may do, parsed once from its manifest.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use url::{Host, Url};

use crate::{SecretValue, Secrets, SkillName};

/// How far a skill reaches into a namespace of memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Access {
    /// Not at all.
    None,
    /// It may get and list.
    Read,
    /// It may get, list, set and delete.
    #[default]
    ReadWrite,
}

/// What a skill may do. The default is what a skill has that asks for nothing: its own memory, and its log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Grants {
    /// Its own namespace.
    pub memory: Access,
    /// Shared namespaces by name.
    pub shared_memory: BTreeMap<SkillName, Access>,
    /// Whether it may ask the AI.
    pub ai: bool,
    /// Where it may send HTTP requests.
    pub http: HttpGrant,
    /// Which secrets go with those requests.
    pub secrets: Vec<SecretGrant>,
}

impl Grants {
    /// The headers with secrets for a request to `url`: those whose own host is exactly the URL's. A grant that names no
    /// one exact host has no effect.
    pub(crate) fn secret_headers<'a>(
        &'a self,
        url: &'a Url,
        secrets: &'a Secrets,
    ) -> impl Iterator<Item = (&'a str, SecretValue)> + 'a {
        let own = |rule: &HttpRule| matches!(rule.host, HostPattern::Exact(_)) && rule.matches(url);
        self.secrets.iter().filter(move |grant| own(&grant.rule)).filter_map(|grant| {
            let value = secrets.value(&grant.name)?;
            Some((grant.header.as_str(), value.prefixed(&grant.prefix)))
        })
    }
}

/// A secret that goes with every request to one host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecretGrant {
    /// The name under which the integrator keeps it.
    pub name: String,
    /// Where it goes. Always one exact host.
    pub rule: HttpRule,
    /// The header that carries it, in lower case.
    pub header: String,
    /// What stands before it in the header, `"Bearer "` for one.
    pub prefix: String,
}

/// Where a skill may send HTTP requests: to any URL that one of the rules matches. The default is nowhere.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HttpGrant {
    /// The rules.
    pub rules: Vec<HttpRule>,
}

impl HttpGrant {
    /// Whether a rule matches.
    pub fn permits(&self, url: &Url) -> bool {
        self.rules.iter().any(|rule| rule.matches(url))
    }
}

/// A set of origins: `[scheme://]host[:port]`.
///
/// The scheme is `https` where none is written, or `http`. The host is exact, or `*.` and a suffix, which matches every
/// host below the suffix but not the suffix itself. Without a port, the scheme's own is the only one; `:*` is any.
///
/// ```
/// use cis_wasm_host::HttpRule;
///
/// let rule: HttpRule = "*.example.com".parse()?;
/// assert!(rule.matches(&"https://api.example.com/v1".parse()?));
/// assert!(!rule.matches(&"https://api.example.com.evil.net/".parse()?));
/// assert!(!rule.matches(&"http://api.example.com/".parse()?));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpRule {
    secure: bool,
    host: HostPattern,
    port: Option<u16>,
}

/// The hosts of a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HostPattern {
    /// This host: a domain in its ASCII form, or an address.
    Exact(Host),
    /// Every domain that ends with this, which begins with a dot.
    Suffix(String),
}

/// Why a text is not an [`HttpRule`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{rule}` does not name where requests may go: {why}; write `host`, `*.suffix`, `http://host` or `host:port`")]
pub struct HttpRuleError {
    rule: String,
    why: String,
}

impl HttpRule {
    /// Whether a request to `url` falls under this rule. A URL with a user name or password never does.
    pub fn matches(&self, url: &Url) -> bool {
        let scheme = if self.secure { "https" } else { "http" };
        let host = match (&self.host, url.host()) {
            (HostPattern::Exact(exact), Some(host)) => host.to_owned() == *exact,
            (HostPattern::Suffix(suffix), Some(Host::Domain(domain))) => {
                domain.len() > suffix.len() && domain.ends_with(suffix.as_str())
            }
            _ => false,
        };
        let port = self.port.is_none_or(|port| url.port_or_known_default() == Some(port));
        url.scheme() == scheme && host && port && url.username().is_empty() && url.password().is_none()
    }

    /// The rule that matches what both match, or `None` when they have nothing in common.
    ///
    /// ```
    /// use cis_wasm_host::HttpRule;
    ///
    /// let wide: HttpRule = "*.example.com:*".parse()?;
    /// let narrow: HttpRule = "api.example.com".parse()?;
    /// assert_eq!(wide.intersection(&narrow), Some(narrow));
    /// assert_eq!(wide.intersection(&"example.org".parse()?), None);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn intersection(&self, other: &HttpRule) -> Option<HttpRule> {
        use HostPattern::{Exact, Suffix};
        let below = |host: &Host, suffix: &str| match host {
            Host::Domain(domain) => domain.len() > suffix.len() && domain.ends_with(suffix),
            Host::Ipv4(_) | Host::Ipv6(_) => false,
        };
        let host = match (&self.host, &other.host) {
            (Exact(one), Exact(two)) if one == two => &self.host,
            (Exact(host), Suffix(suffix)) if below(host, suffix) => &self.host,
            (Suffix(suffix), Exact(host)) if below(host, suffix) => &other.host,
            // Both begin with a dot, so the longer one is below the shorter one.
            (Suffix(one), Suffix(two)) if one.ends_with(two.as_str()) => &self.host,
            (Suffix(one), Suffix(two)) if two.ends_with(one.as_str()) => &other.host,
            _ => return None,
        };
        let port = match (self.port, other.port) {
            (Some(one), Some(two)) if one != two => return None,
            (one, two) => one.or(two),
        };
        (self.secure == other.secure).then(|| HttpRule { secure: self.secure, host: host.clone(), port })
    }

    /// The hosts of this rule.
    pub fn host(&self) -> &HostPattern {
        &self.host
    }

    /// The port, or `None` for any.
    pub fn port(&self) -> Option<u16> {
        self.port
    }
}

/// The shortest text that parses to this rule.
impl fmt::Display for HttpRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.secure {
            f.write_str("http://")?;
        }
        match &self.host {
            HostPattern::Exact(host) => write!(f, "{host}")?,
            HostPattern::Suffix(suffix) => write!(f, "*{suffix}")?,
        }
        match self.port {
            None => f.write_str(":*"),
            Some(port) if port == if self.secure { 443 } else { 80 } => Ok(()),
            Some(port) => write!(f, ":{port}"),
        }
    }
}

impl FromStr for HttpRule {
    type Err = HttpRuleError;

    fn from_str(rule: &str) -> Result<Self, HttpRuleError> {
        let error = |why: &str| HttpRuleError { rule: rule.to_owned(), why: why.to_owned() };
        let (secure, rest) = match rule.split_once("://") {
            None => (true, rule),
            Some(("https", rest)) => (true, rest),
            Some(("http", rest)) => (false, rest),
            Some(_) => return Err(error("the scheme is neither http nor https")),
        };
        let (rest, any_port) = match rest.strip_suffix(":*") {
            Some(rest) => (rest, true),
            None => (rest, false),
        };
        let (rest, suffix) = match rest.strip_prefix("*.") {
            Some(rest) => (rest, true),
            None => (rest, false),
        };
        if rest.contains('*') {
            return Err(error("`*` stands only for everything below a domain, as `*.domain`, or for any port"));
        }
        // The parser that reads the skill's URLs reads the rule's host too, so both have the same normal form.
        let scheme = if secure { "https" } else { "http" };
        let url = Url::parse(&format!("{scheme}://{rest}")).map_err(|parse| error(&parse.to_string()))?;
        let plain = url.username().is_empty() && url.password().is_none() && url.query().is_none();
        if !plain || url.fragment().is_some() || url.path() != "/" || rest.ends_with('/') {
            return Err(error("it has more than a scheme, a host and a port"));
        }
        let host = match (url.host(), suffix) {
            (Some(Host::Domain(domain)), true) => HostPattern::Suffix(format!(".{domain}")),
            (Some(_), true) => return Err(error("an address has nothing below it")),
            (Some(host), false) => HostPattern::Exact(host.to_owned()),
            (None, _) => return Err(error("the host is missing")),
        };
        let port = if any_port { None } else { url.port_or_known_default() };
        Ok(HttpRule { secure, host, port })
    }
}
