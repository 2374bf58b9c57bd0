//! What every skill is, native or wasm, and where the manager's names can be found together.

use std::sync::Arc;

use async_trait::async_trait;

pub use crate::manager::{ManagerBuilder, RegisterOptions, SkillInfo, SkillManager, SkillState, Transition};
pub use crate::options::LoadOptions;
use crate::wasm::WasmSkill;
use crate::{Event, Response, Result, SkillContext};

/// A program that extends an agent: it is sent events and answers them.
///
/// Wasm skills implement it, and an integrator's own code can too:
///
/// ```
/// use cis_skill::{Event, Response, Result, Skill, SkillContext, async_trait};
///
/// /// Counts its events, in memory that lasts.
/// struct Counter;
///
/// #[async_trait]
/// impl Skill for Counter {
///     fn name(&self) -> &str { "counter" }
///     fn version(&self) -> &str { "1.0.0" }
///
///     async fn handle_event(&self, ctx: &mut SkillContext, _event: Event) -> Result<Response> {
///         let count = ctx.memory_get("count").await?.map_or(0, |count| count[0]) + 1;
///         ctx.memory_set("count", vec![count]).await?;
///         Response::from_json(&count)
///     }
/// }
///
/// # pollster::block_on(async {
/// let manager = cis_skill::SkillManager::new(cis_skill::InMemory::new())?;
/// manager.register(Counter).await?;
/// manager.send_event("counter", Event::tick(0)).await?;
/// assert_eq!(manager.send_event("counter", Event::tick(1)).await?.text()?, "2");
/// # Ok::<(), cis_skill::Error>(())
/// # })?;
/// # Ok::<(), cis_skill::Error>(())
/// ```
#[async_trait]
pub trait Skill: Send + Sync + 'static {
    /// What it is called: 1 to 64 of `a-z`, `0-9`, `-`, `_` and `.`, beginning with a letter or digit.
    fn name(&self) -> &str;

    /// Its version, by convention a semantic one.
    fn version(&self) -> &str;

    /// What it does, for people.
    fn description(&self) -> &str {
        ""
    }

    /// The event types that a broadcast brings to it.
    fn subscriptions(&self) -> Vec<&str> {
        Vec::new()
    }

    /// Called once, before the first event.
    ///
    /// # Errors
    ///
    /// Any error: the skill is then not registered.
    async fn init(&self, ctx: &mut SkillContext) -> Result<()> {
        let _ = ctx;
        Ok(())
    }

    /// Handles one event. Called for several events at the same time.
    ///
    /// # Errors
    ///
    /// What the sender of the event should know: see [`Error::skill`](crate::Error::skill).
    async fn handle_event(&self, ctx: &mut SkillContext, event: Event) -> Result<Response>;

    /// Called once, after the last event.
    ///
    /// # Errors
    ///
    /// Any error: it is reported, and the skill goes all the same.
    async fn shutdown(&self, ctx: &mut SkillContext) -> Result<()> {
        let _ = ctx;
        Ok(())
    }

    /// The wasm skill that this is, if it is one. A manager can then reload it and run it on the caller's own thread.
    fn as_wasm(&self) -> Option<&WasmSkill> {
        None
    }
}

#[async_trait]
impl<S: Skill + ?Sized> Skill for Arc<S> {
    fn name(&self) -> &str {
        (**self).name()
    }

    fn version(&self) -> &str {
        (**self).version()
    }

    fn description(&self) -> &str {
        (**self).description()
    }

    fn subscriptions(&self) -> Vec<&str> {
        (**self).subscriptions()
    }

    async fn init(&self, ctx: &mut SkillContext) -> Result<()> {
        (**self).init(ctx).await
    }

    async fn handle_event(&self, ctx: &mut SkillContext, event: Event) -> Result<Response> {
        (**self).handle_event(ctx, event).await
    }

    async fn shutdown(&self, ctx: &mut SkillContext) -> Result<()> {
        (**self).shutdown(ctx).await
    }

    fn as_wasm(&self) -> Option<&WasmSkill> {
        (**self).as_wasm()
    }
}
