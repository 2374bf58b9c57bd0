//! Extism, as its documentation advises: compiled once, a new plug-in for every event that has to start clean, a pool of
//! plug-ins where it need not.

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use extism::{CompiledPlugin, CurrentPlugin, Manifest, PTR, Plugin, PluginBuilder, Pool, PoolBuilder, UserData, Val};

use super::memory::Memory;
use super::{DEADLINE, Loaded, MEMORY_CAP, State};
use crate::Fallible;

/// A compiled plug-in.
#[derive(Clone)]
pub(crate) struct Extism {
    compiled: CompiledPlugin,
    world: UserData<World>,
}

/// What a plug-in reaches.
pub(crate) struct World {
    memory: Memory,
    log: Vec<String>,
    /// What asking the AI does with the thread.
    ai: Ai,
}

pub(crate) type Ai = Arc<dyn Fn() + Send + Sync>;

type Called = Result<(), extism::Error>;

impl Extism {
    /// Compiles a plug-in, or takes it from the cache that a file of settings describes.
    pub(crate) fn compile(plugin: &Path, cache: Option<&Path>) -> Fallible<Self> {
        Extism::with(plugin, cache, DEADLINE, Arc::new(|| {}))
    }

    /// The same with an AI that does this with the thread that asks it.
    pub(crate) fn with(plugin: &Path, cache: Option<&Path>, deadline: Duration, ai: Ai) -> Fallible<Self> {
        let pages = u32::try_from(MEMORY_CAP / 65_536)?;
        // By its path: the manifest is copied for every plug-in, and would hold the module's bytes otherwise.
        let wasm = extism::Wasm::file(plugin);
        let manifest = Manifest::new([wasm]).with_memory_max(pages).with_timeout(deadline);
        let world = UserData::new(World { memory: Memory::new(), log: Vec::new(), ai });
        let mut builder = PluginBuilder::new(manifest)
            .with_function("memory_get", [PTR], [PTR], world.clone(), memory_get)
            .with_function("memory_set", [PTR, PTR], [], world.clone(), memory_set)
            .with_function("log_line", [PTR], [], world.clone(), log_line)
            .with_function("ai_chat", [PTR], [PTR], world.clone(), ai_chat);
        builder = match cache {
            Some(settings) => builder.with_cache_config(settings),
            None => builder.with_cache_disabled(),
        };
        Ok(Extism { compiled: builder.compile()?, world })
    }

    /// A plug-in of its own, which starts clean.
    pub(crate) fn plugin(&self) -> Fallible<Plugin> {
        Ok(Plugin::new_from_compiled(&self.compiled)?)
    }

    pub(crate) fn load(self, state: State) -> Fallible<Running> {
        let compiled = self.compiled.clone();
        let pool = (state == State::Kept).then(|| {
            let source = move || Plugin::new_from_compiled(&compiled);
            PoolBuilder::new().with_max_instances(1).build(source)
        });
        Ok(Running { world: self.world.get()?, extism: self, pool })
    }
}

/// A plug-in that is ready for events.
pub(crate) struct Running {
    extism: Extism,
    world: Arc<Mutex<World>>,
    /// Where plug-ins are kept from event to event.
    pool: Option<Pool>,
}

impl Loaded for Running {
    fn event(&mut self, kind: &str, data: &[u8], seen: &mut dyn FnMut(&[u8])) -> Fallible<()> {
        match &self.pool {
            Some(pool) => {
                let mut plugin = pool.get(DEADLINE)?.ok_or("the pool's one plug-in is away")?;
                seen(plugin.call::<&[u8], Vec<u8>>(kind, data)?.as_slice());
            }
            None => seen(self.extism.plugin()?.call::<&[u8], &[u8]>(kind, data)?),
        }
        // What an event logged goes with its answer.
        drop(std::mem::take(&mut locked(&self.world).log));
        Ok(())
    }
}

fn locked(world: &Mutex<World>) -> std::sync::MutexGuard<'_, World> {
    world.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

fn memory_get(plugin: &mut CurrentPlugin, args: &[Val], results: &mut [Val], world: UserData<World>) -> Called {
    let world = world.get()?;
    let value = locked(&world).memory.get(plugin.memory_get_val::<&str>(&args[0])?);
    match value {
        Some(value) => plugin.memory_set_val(&mut results[0], &value[..]),
        None => {
            results[0] = Val::I64(0);
            Ok(())
        }
    }
}

fn memory_set(plugin: &mut CurrentPlugin, args: &[Val], _: &mut [Val], world: UserData<World>) -> Called {
    let key: String = plugin.memory_get_val(&args[0])?;
    let world = world.get()?;
    locked(&world).memory.set(&key, plugin.memory_get_val::<&[u8]>(&args[1])?);
    Ok(())
}

fn log_line(plugin: &mut CurrentPlugin, args: &[Val], _: &mut [Val], world: UserData<World>) -> Called {
    let line: String = plugin.memory_get_val(&args[0])?;
    locked(&*world.get()?).log.push(line);
    Ok(())
}

fn ai_chat(plugin: &mut CurrentPlugin, args: &[Val], results: &mut [Val], world: UserData<World>) -> Called {
    plugin.memory_get_val::<&str>(&args[0])?;
    let ask = locked(&*world.get()?).ai.clone();
    ask();
    plugin.memory_set_val(&mut results[0], "an answer")
}
