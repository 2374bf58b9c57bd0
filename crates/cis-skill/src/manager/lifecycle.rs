//! The states of a skill and the ways between them.
//!
//! | transition | takes a skill that is | which becomes | and its queued events |
//! |---|---|---|---|
//! | `activate` | inactive, failed | active | (has none) |
//! | `deactivate` | active, paused, failed | inactive | are given back |
//! | `pause` | active | paused | (has none) |
//! | `resume` | paused | active | are served, in order |
//! | `reload` | active, inactive, paused, failed | what it was; active if it was failed | stay, for the new version |
//! | `unload` | active, inactive, paused, failed, unloading | unloading, then gone | are given back |
//!
//! Every other pair is refused with an error that names both states. `unload` takes a skill that is unloading already
//! so that one whose future was dropped half way can be finished.
//!
//! Two changes nobody asks for. An active skill of which so many events in a row [failed](super::FailurePolicy) that it is
//! not to be trusted becomes failed; and a failed one becomes active again when, after its back-off, an event that tries
//! it goes well.
//!
//! | state | a new event |
//! |---|---|
//! | active | runs |
//! | failed | is refused; after the back-off one is let through, to try the skill |
//! | inactive | is refused |
//! | paused | is queued up to the bound, then refused |
//! | unloading | is refused |

use std::fmt;

/// Where a skill stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SkillState {
    /// It takes events.
    Active,
    /// Its events failed too often in a row: it refuses events for a while, and is then tried with one.
    Failed,
    /// It is loaded and refuses events.
    Inactive,
    /// It queues events.
    Paused,
    /// It is about to go: its running events end, it refuses new ones.
    Unloading,
}

use SkillState::{Active, Failed, Inactive, Paused, Unloading};

impl SkillState {
    /// All states.
    pub const ALL: [SkillState; 5] = [Active, Failed, Inactive, Paused, Unloading];

    /// The state's name in lower case.
    pub const fn name(self) -> &'static str {
        match self {
            Active => "active",
            Failed => "failed",
            Inactive => "inactive",
            Paused => "paused",
            Unloading => "unloading",
        }
    }
}

impl fmt::Display for SkillState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What an integrator can ask of a skill's state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Transition {
    /// Take events from now on.
    Activate,
    /// Refuse events from now on.
    Deactivate,
    /// Queue events from now on.
    Pause,
    /// Go on with a new version.
    Reload,
    /// Serve what is queued, and take events from now on.
    Resume,
    /// Go.
    Unload,
}

impl Transition {
    /// All transitions.
    pub const ALL: [Transition; 6] = [
        Transition::Activate,
        Transition::Deactivate,
        Transition::Pause,
        Transition::Reload,
        Transition::Resume,
        Transition::Unload,
    ];

    /// The state that a skill in `from` has afterwards, or `None` where that is not legal.
    pub const fn from(self, from: SkillState) -> Option<SkillState> {
        match (self, from) {
            (Transition::Activate, Inactive | Failed) | (Transition::Resume, Paused) => Some(Active),
            (Transition::Deactivate, Active | Failed | Paused) => Some(Inactive),
            (Transition::Pause, Active) => Some(Paused),
            (Transition::Reload, Active | Inactive | Paused) => Some(from),
            (Transition::Reload, Failed) => Some(Active),
            (Transition::Unload, _) => Some(Unloading),
            _ => None,
        }
    }

    /// The state this transition leads to from a state it would take, whatever the state is now.
    pub(crate) const fn goal(self, from: SkillState) -> SkillState {
        match self {
            Transition::Activate | Transition::Resume => Active,
            Transition::Deactivate => Inactive,
            Transition::Pause => Paused,
            Transition::Reload => from,
            Transition::Unload => Unloading,
        }
    }

    /// The states it takes, for an error.
    pub(crate) fn origins(self) -> String {
        let takes: Vec<&str> =
            SkillState::ALL.into_iter().filter(|from| self.from(*from).is_some()).map(SkillState::name).collect();
        takes.join(" or ")
    }
}

impl fmt::Display for Transition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Transition::Activate => "activate",
            Transition::Deactivate => "deactivate",
            Transition::Pause => "pause",
            Transition::Reload => "reload",
            Transition::Resume => "resume",
            Transition::Unload => "unload",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The table at the top of this file, read as data.
    fn documented() -> Vec<(String, Vec<String>)> {
        let text = include_str!("lifecycle.rs");
        let rows = text.lines().take_while(|line| line.starts_with("//!")).filter(|line| line.starts_with("//! | `"));
        rows.map(|row| {
            let cells: Vec<&str> = row.trim_start_matches("//! |").split('|').map(str::trim).collect();
            (cells[0].trim_matches('`').to_owned(), cells[1].split(", ").map(str::to_owned).collect())
        })
        .collect()
    }

    #[test]
    fn the_documented_transitions_are_the_legal_ones() {
        let table = documented();
        assert_eq!(table.len(), Transition::ALL.len());
        for transition in Transition::ALL {
            let (_, origins) = table.iter().find(|(name, _)| *name == transition.to_string()).unwrap();
            for state in SkillState::ALL {
                let legal = origins.contains(&state.to_string());
                assert_eq!(transition.from(state).is_some(), legal, "{transition} from {state}");
            }
        }
    }
}
