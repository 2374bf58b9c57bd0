//! HTTP for skills, behind a guard: no request leaves for an address that the operator did not mean.
//!
//! A skill's grant says which hosts it may name. That is not enough, because whoever owns a name decides where it leads:
//! to this machine, to the operator's network, to a cloud's metadata service. So every address is looked at as well, at
//! the one moment that counts:
//!
//! - [`address`] says what an address is for;
//! - [`policy`] says what the operator allows;
//! - [`resolver`] stands between a name and its connection: the addresses it lets pass are the ones connected to;
//! - [`client`] sends a request, follows its redirects hop by hop, and holds the caps.

mod address;
mod client;
mod policy;
mod resolver;

pub use address::AddressClass;
pub use client::EgressClient;
pub use policy::{EgressPolicy, EgressPolicyError};
pub use resolver::{Resolver, SystemResolver};
