//! Replacing a skill by a new version of itself while it works.

use std::sync::Arc;

use super::SkillManager;
use super::flight::Version;
use super::lifecycle::Transition;
use crate::wasm::WasmSkill;
use crate::{ErrorKind, LoadOptions, Result};

impl SkillManager {
    /// Loads a new version of a wasm skill and lets it take all events from then on. Events that run already end on the
    /// old one, which goes after them. The skill stays in the state it is in, but a failed one becomes active; its queued
    /// events go to the new version.
    ///
    /// The options count anew: what the old version was loaded with does not carry over. A kept skill begins with a
    /// fresh memory; what must last goes through the host's.
    ///
    /// Compiling and `skill_init` happen on the calling thread, which also waits for the old version's `skill_shutdown` when
    /// none of its events runs any more. Under an async executor, call this where blocking is fine.
    ///
    /// # Errors
    ///
    /// As for [`load_wasm`](Self::load_wasm), [`ErrorKind::NotWasm`], [`ErrorKind::IllegalTransition`], and
    /// [`ErrorKind::ManifestMismatch`] when the manifest names another skill than the old one's: it would inherit its
    /// memory. The old version then stays and works on.
    pub fn reload(&self, skill: &str, wasm: &[u8], options: LoadOptions) -> Result<()> {
        let slot = self.slot(skill)?;
        slot.check(Transition::Reload)?;
        let old = slot.version();
        let name = old.scope.name.clone();
        let Some(old_skill) = old.skill.as_wasm() else { return Err(ErrorKind::NotWasm { skill: name }.into()) };
        let plan = options.plan(name, wasm, self.ceiling())?;
        let (was, is) = (&old_skill.manifest().name, &plan.manifest.name);
        if was != is {
            let message =
                format!("the new version is `{is}` where the old one is `{was}`; load it under a name of its own");
            return Err(ErrorKind::ManifestMismatch { message }.into());
        }
        let new = WasmSkill::load(self.runtime(), &old.host, wasm, plan)?;
        let scope = new.shared_scope();
        let version = Version::new(Arc::new(new), old.host.clone(), scope);
        slot.replace(version)?.retire();
        Ok(())
    }
}
