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
}

impl<'a> Place<'a> {
    /// Of a key, as the skill wrote it.
    #[inline]
    pub(crate) fn of_key(scope: &'a SkillScope, key: &'a str, access: Access) -> Result<Self, Refusal> {
        // Nearly all keys are the skill's own, and nothing is wrong with them. The long way says what is with others.
        let fine = scope.grants.memory >= access && (1..=ceilings::KEY).contains(&key.len());
        if fine && !key.starts_with(SHARED_KEY_MARK) {
            return Ok(Place { namespace: Cow::Borrowed(scope.name.namespace()), key });
        }
        Place::of_unusual_key(scope, key, access)
    }

    #[cold]
    fn of_unusual_key(scope: &'a SkillScope, key: &'a str, access: Access) -> Result<Self, Refusal> {
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
                (Place { namespace, key }, scope.grants.memory)
            }
            Some(shared) => {
                let Some((name, key)) = shared.split_once('/') else {
                    let why = "a key that begins with `@` names a shared namespace: `@name/key`";
                    return Err(Refusal::new(Status::InvalidArgument, why));
                };
                let name: SkillName =
                    name.parse().map_err(|error| Refusal::new(Status::InvalidArgument, format!("{error}")))?;
                let granted = scope.grants.shared_memory.get(&name).copied().unwrap_or(Access::None);
                (Place { namespace: Cow::Owned(Namespace::shared(&name)), key }, granted)
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
        match self.namespace.shared_name() {
            None => key,
            Some(name) => format!("{SHARED_KEY_MARK}{name}/{key}"),
        }
    }
}
