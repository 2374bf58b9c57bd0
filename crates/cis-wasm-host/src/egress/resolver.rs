//! From a name to the addresses that are connected to.
//!
//! Invariant: reqwest connects to the addresses that [`Guard`] hands it and to no others. A name is resolved once per
//! connection, and the check is made on that one answer: there is no second look-up that could say something else.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use async_trait::async_trait;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use super::{AddressClass, EgressPolicy};

/// Resolves names. What it answers is checked against the policy.
#[async_trait]
pub trait Resolver: Send + Sync + 'static {
    /// The addresses of a name. Called on the client's own tokio runtime.
    ///
    /// # Errors
    ///
    /// When the name cannot be resolved.
    async fn resolve(&self, host: &str) -> io::Result<Vec<IpAddr>>;
}

/// The resolver of the operating system.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemResolver;

#[async_trait]
impl Resolver for SystemResolver {
    async fn resolve(&self, host: &str) -> io::Result<Vec<IpAddr>> {
        Ok(tokio::net::lookup_host((host, 0)).await?.map(|address| address.ip()).collect())
    }
}

/// The one way from a name to a connection.
pub(super) struct Guard {
    pub(super) resolver: Arc<dyn Resolver>,
    pub(super) policy: Arc<EgressPolicy>,
    /// Whether this guard serves the names that the operator allowed.
    pub(super) named: bool,
}

impl Resolve for Guard {
    fn resolve(&self, name: Name) -> Resolving {
        let (resolver, policy, named) = (self.resolver.clone(), self.policy.clone(), self.named);
        Box::pin(async move {
            let addresses = resolver.resolve(name.as_str()).await?;
            if addresses.is_empty() {
                return Err(io::Error::new(io::ErrorKind::NotFound, "the name has no address").into());
            }
            // One bad address spoils the answer: a public name has no business beside a private one, and which of both
            // would be connected to would be a matter of luck.
            for &address in &addresses {
                policy.judge(address, named).map_err(|class| Forbidden { address, class })?;
            }
            // Port 0: the URL's.
            let addresses: Addrs = Box::new(addresses.into_iter().map(|address| SocketAddr::new(address, 0)));
            Ok(addresses)
        })
    }
}

/// An address that the policy does not allow.
#[derive(Clone, Copy, Debug)]
pub(super) struct Forbidden {
    pub(super) address: IpAddr,
    pub(super) class: AddressClass,
}

impl fmt::Display for Forbidden {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Forbidden { address, class } = self;
        write!(f, "{address} is {class}, which the egress policy does not allow")
    }
}

impl std::error::Error for Forbidden {}
