//! A skill's manifest as a case narrows it.

use cis_skill::{HttpRule, LoadOptions};
use cis_skill_sdk::native::Access as CaseAccess;
use cis_skill_sdk::native::cases::{Case, CaseGrants};

/// The manifest narrowed to what the case grants.
pub(crate) fn options(case: &Case) -> LoadOptions {
    let CaseGrants { memory, ai, http, .. } = &case.host.grants;
    let mut options = LoadOptions::default().only_http(rules(http));
    if !ai {
        options = options.deny_ai();
    }
    options = match memory {
        CaseAccess::None => options.deny_memory(),
        CaseAccess::Read => options.read_only_memory(),
        CaseAccess::ReadWrite => options,
    };
    case.host.config.iter().fold(options, |options, (name, value)| options.config(name, value.clone()))
}

pub(crate) fn rules(http: &[String]) -> Vec<HttpRule> {
    http.iter().map(|rule| rule.parse().unwrap_or_else(|error| panic!("{error}"))).collect()
}
