//! Where a key of a skill lies.
//!
//! Invariant: who has a [`Place`] has had the skill's grant for it checked, and the length of its key.

use std::borrow::Cow;

use cis_wasm_abi::{SHARED_KEY_MARK, Status, ceilings};

use crate::host::Refusal;
use crate::unwired::{Limit, unwired};
use crate::{Access, Namespace, SkillName, SkillScope};

/// A key, or the beginning of some, in a namespace that the skill may reach.
pub(crate) struct Place<'a> {
    pub namespace: Cow<'a, Namespace>,
    pub key: &'a str,
    shared: Option<SkillName>,
}

impl<'a> Place<'a> {
    /// Of a key, as the skill wrote it.
    pub(crate) fn of_key(scope: &'a SkillScope, key: &'a str, access: Access) -> Result<Self, Refusal> {
        let place = Place::new(scope, key, access)?;
        if place.key.is_empty() {
            return Err(Refusal::new(Status::InvalidArgument, "the key is empty"));
        }
        Ok(place)
    }

    /// Of the beginning of keys that are to be listed.
    pub(crate) fn of_prefix(scope: &'a SkillScope, prefix: &'a str) -> Result<Self, Refusal> {
        Place::new(scope, prefix, Access::Read)
    }

    fn new(scope: &'a SkillScope, key: &'a str, access: Access) -> Result<Self, Refusal> {
        let (place, granted) = match key.strip_prefix(SHARED_KEY_MARK) {
            None => {
                let namespace = Cow::Borrowed(scope.name.namespace());
                (Place { namespace, key, shared: None }, scope.grants.memory)
            }
            Some(shared) => {
                let Some((name, key)) = shared.split_once('/') else {
                    let why = "a key that begins with `@` names a shared namespace: `@name/key`";
                    return Err(Refusal::new(Status::InvalidArgument, why));
                };
                let name: SkillName =
                    name.parse().map_err(|error| Refusal::new(Status::InvalidArgument, format!("{error}")))?;
                let granted = scope.grants.shared_memory.get(&name).copied().unwrap_or(Access::None);
                (Place { namespace: Cow::Owned(Namespace::shared(&name)), key, shared: Some(name) }, granted)
            }
        };
        if granted < access && !unwired(Limit::Grants) {
            let verb = if access == Access::Read { "read" } else { "write" };
            let what = place.namespace.as_str();
            return Err(Refusal::new(Status::Denied, format!("the manifest does not let the skill {verb} `{what}`")));
        }
        if place.key.len() > ceilings::KEY {
            return Err(Refusal::new(Status::TooLarge, format!("the key is longer than {} bytes", ceilings::KEY)));
        }
        Ok(place)
    }

    /// A key of this namespace, the way the skill writes it.
    pub(crate) fn written(&self, key: String) -> String {
        match &self.shared {
            None => key,
            Some(name) => format!("{SHARED_KEY_MARK}{name}/{key}"),
        }
    }
}
