//! Where a key of a skill lies, and whether the skill may go there.

use std::collections::BTreeMap;
use std::format;
use std::string::{String, ToString};

use cis_wasm_abi::{SHARED_KEY_MARK, Status, ceilings};

/// How far a skill reaches into a namespace of memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
#[cfg_attr(feature = "json", derive(serde::Deserialize))]
#[cfg_attr(feature = "json", serde(rename_all = "kebab-case"))]
pub enum Access {
    /// Not at all.
    None,
    /// It may get and list.
    Read,
    /// It may get, list, set and delete.
    #[default]
    ReadWrite,
}

/// What a skill may do in memory.
#[derive(Clone, Debug, Default)]
pub(super) struct MemoryGrants {
    pub(super) own: Access,
    pub(super) shared: BTreeMap<String, Access>,
}

/// A namespace and a key in it: the grant was checked.
pub(super) struct Place<'k> {
    /// `None` for the skill's own.
    pub(super) shared: Option<&'k str>,
    pub(super) key: &'k str,
}

impl<'k> Place<'k> {
    pub(super) fn of_key(grants: &MemoryGrants, key: &'k str, access: Access) -> Result<Self, Status> {
        let place = Place::of_prefix(grants, key, access)?;
        if place.key.is_empty() { Err(Status::InvalidArgument) } else { Ok(place) }
    }

    pub(super) fn of_prefix(grants: &MemoryGrants, key: &'k str, access: Access) -> Result<Self, Status> {
        let (place, granted) = match key.strip_prefix(SHARED_KEY_MARK) {
            None => (Place { shared: None, key }, grants.own),
            Some(rest) => {
                let (name, key) = rest.split_once('/').ok_or(Status::InvalidArgument)?;
                if !is_name(name) {
                    return Err(Status::InvalidArgument);
                }
                (Place { shared: Some(name), key }, grants.shared.get(name).copied().unwrap_or(Access::None))
            }
        };
        if granted < access {
            return Err(Status::Denied);
        }
        if place.key.len() > ceilings::KEY {
            return Err(Status::TooLarge);
        }
        Ok(place)
    }

    /// The namespace, by what its keys begin with when the skill writes them.
    pub(super) fn namespace(&self) -> String {
        self.shared.map_or(String::new(), |name| format!("{SHARED_KEY_MARK}{name}/"))
    }
}

/// The namespace and the key of a key that a test writes, without any grant.
pub(super) fn split(key: &str) -> (String, String) {
    let all = MemoryGrants {
        own: Access::ReadWrite,
        shared: key
            .strip_prefix(SHARED_KEY_MARK)
            .and_then(|rest| rest.split_once('/'))
            .map(|(name, _)| (name.to_string(), Access::ReadWrite))
            .into_iter()
            .collect(),
    };
    match Place::of_key(&all, key, Access::ReadWrite) {
        Ok(place) => (place.namespace(), place.key.to_string()),
        Err(status) => panic!("`{key}` is not a key: {}", status.meaning()),
    }
}

/// The rule for the names of skills and namespaces.
pub(super) fn is_name(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    name.len() <= 64
        && name.bytes().next().is_some_and(plain)
        && name.bytes().all(|byte| plain(byte) || matches!(byte, b'-' | b'_' | b'.'))
}
