//! Whether a skill is worth sending events to.
//!
//! What must stay true: only events that began under the current [`Trial`] count. A new one begins whenever the skill is
//! trusted anew or no longer: with each change to and from [`SkillState::Failed`], with each event that is let through
//! to try a failed skill, and with each version. So what is left over from before changes nothing.

use std::time::{Duration, Instant};

use cis_wasm_host::Fault;

use super::lifecycle::SkillState;
use crate::{ErrorKind, Response, Result};

/// When a skill's failures put it in [`SkillState::Failed`], and for how long.
///
/// A failure is an event after which the skill is not to be trusted: it trapped, panicked, exceeded a limit, or handed out
/// memory that was not its own. An error that the skill answered with is none, and an event that failed through its sender
/// or a backend, or that was cancelled, says nothing about the skill.
///
/// ```
/// use std::time::Duration;
/// use cis_skill::{FailurePolicy, SkillManager};
///
/// let strict = FailurePolicy { in_a_row: 1, back_off: Duration::from_secs(60), ..FailurePolicy::default() };
/// let manager = SkillManager::builder().failure_policy(strict).build()?;
/// # Ok::<(), cis_skill::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FailurePolicy {
    /// How many failures in a row it takes. 0: no number is enough.
    pub in_a_row: u32,
    /// How long the skill then takes no events. It doubles with each event that tries the skill after that and fails too.
    pub back_off: Duration,
    /// The longest that it becomes by doubling.
    pub longest_back_off: Duration,
}

impl Default for FailurePolicy {
    /// 5 failures; 1 second, doubling up to 5 minutes.
    fn default() -> Self {
        FailurePolicy { in_a_row: 5, back_off: Duration::from_secs(1), longest_back_off: Duration::from_secs(5 * 60) }
    }
}

/// How a skill's last events went, at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SkillHealth {
    /// How many failures there were in a row.
    pub failures_in_a_row: u32,
    /// The [code](crate::Error::code) of the last of them.
    pub last_failure: Option<&'static str>,
    /// How long the skill takes no event yet, when it is in [`SkillState::Failed`]. Zero: the next event tries it.
    pub back_off: Option<Duration>,
    /// Whether an event is running that tries the failed skill. No other is let through until it has ended.
    pub trying: bool,
}

/// What an event's end says about its skill.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It ran as it should, whatever it answered.
    Sound,
    /// It is not to be trusted. The error's code.
    Unsound(&'static str),
    /// Nothing.
    None,
}

impl Verdict {
    pub(super) fn of(result: &Result<Response>) -> Verdict {
        let Err(error) = result else { return Verdict::Sound };
        match error.kind() {
            ErrorKind::Runtime(engine) => match (engine.kind(), engine.fault()) {
                (cis_wasm_runtime::ErrorKind::SkillFailed { .. }, _) => Verdict::Sound,
                (_, Fault::Guest | Fault::Bug) => Verdict::Unsound(error.code()),
                _ => Verdict::None,
            },
            ErrorKind::Internal { .. } | ErrorKind::SkillPanicked { .. } => Verdict::Unsound(error.code()),
            // A native skill can answer with any error.
            _ => Verdict::Sound,
        }
    }
}

/// What an event began under.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Trial(u64);

/// What is known about a skill's failures.
#[derive(Clone, Copy, Debug)]
pub(super) struct Health {
    policy: FailurePolicy,
    trial: Trial,
    in_a_row: u32,
    last: Option<&'static str>,
    /// While the skill is failed.
    back_off: Option<BackOff>,
}

#[derive(Clone, Copy, Debug)]
struct BackOff {
    lasts: Duration,
    since: Instant,
    trying: bool,
}

impl BackOff {
    fn left(&self, now: Instant) -> Duration {
        self.lasts.saturating_sub(now.saturating_duration_since(self.since))
    }
}

impl Health {
    pub(super) fn new(policy: FailurePolicy) -> Self {
        Health { policy, trial: Trial::default(), in_a_row: 0, last: None, back_off: None }
    }

    /// What a new event of a skill that takes events begins under.
    pub(super) fn trial(&self) -> Trial {
        self.trial
    }

    /// Lets an event of a failed skill through to try it, or not.
    pub(super) fn try_again(&mut self, now: Instant) -> Option<Trial> {
        let back_off = self.back_off.as_mut()?;
        if back_off.trying || !back_off.left(now).is_zero() {
            return None;
        }
        back_off.trying = true;
        Some(self.next_trial())
    }

    /// Takes in how an event ended, and gives the state that the skill has then.
    pub(super) fn judge(&mut self, state: SkillState, trial: Trial, verdict: Verdict, now: Instant) -> SkillState {
        if trial != self.trial {
            return state;
        }
        match verdict {
            Verdict::Sound => {
                self.recover();
                if state == SkillState::Failed { SkillState::Active } else { state }
            }
            Verdict::Unsound(code) => {
                self.in_a_row = self.in_a_row.saturating_add(1);
                self.last = Some(code);
                let enough = self.policy.in_a_row != 0 && self.in_a_row >= self.policy.in_a_row;
                match state {
                    SkillState::Active if enough => self.fail(now),
                    SkillState::Failed => self.fail(now),
                    // A paused skill is looked at again when it takes events again.
                    _ => state,
                }
            }
            Verdict::None => {
                // The event that was to try the skill did not: the next one may.
                if let Some(back_off) = &mut self.back_off {
                    back_off.trying = false;
                }
                state
            }
        }
    }

    /// Forgets all failures: the skill is trusted anew.
    pub(super) fn recover(&mut self) {
        (self.in_a_row, self.last) = (0, None);
        if self.back_off.take().is_some() {
            self.next_trial();
        }
    }

    /// The same for a new version, or because somebody says so.
    pub(super) fn begin_anew(&mut self) {
        self.recover();
        self.next_trial();
    }

    pub(super) fn info(&self, now: Instant) -> SkillHealth {
        SkillHealth {
            failures_in_a_row: self.in_a_row,
            last_failure: self.last,
            back_off: self.back_off.map(|back_off| back_off.left(now)),
            trying: self.back_off.is_some_and(|back_off| back_off.trying),
        }
    }

    fn fail(&mut self, now: Instant) -> SkillState {
        let longest = self.policy.longest_back_off;
        let lasts = match self.back_off {
            None => self.policy.back_off,
            Some(last) => last.lasts.saturating_mul(2),
        };
        self.back_off = Some(BackOff { lasts: lasts.min(longest), since: now, trying: false });
        self.next_trial();
        SkillState::Failed
    }

    fn next_trial(&mut self) -> Trial {
        self.trial.0 += 1;
        self.trial
    }
}

#[cfg(test)]
mod tests {
    use SkillState::{Active, Failed, Paused};

    use super::*;

    const TRAP: Verdict = Verdict::Unsound("trap");

    fn health(in_a_row: u32) -> (Health, Instant) {
        let second = Duration::from_secs(1);
        (Health::new(FailurePolicy { in_a_row, back_off: second, longest_back_off: 5 * second }), Instant::now())
    }

    /// An event that begins and ends now.
    fn event(health: &mut Health, state: SkillState, verdict: Verdict, now: Instant) -> SkillState {
        let trial = health.trial();
        health.judge(state, trial, verdict, now)
    }

    #[test]
    fn only_failures_in_a_row_count() {
        let (mut health, now) = health(3);
        for _ in 0..2 {
            assert_eq!(event(&mut health, Active, TRAP, now), Active);
            assert_eq!(event(&mut health, Active, Verdict::None, now), Active);
            assert_eq!(event(&mut health, Active, TRAP, now), Active);
            assert_eq!(health.info(now).failures_in_a_row, 2);
            assert_eq!(event(&mut health, Active, Verdict::Sound, now), Active);
            assert_eq!(health.info(now), SkillHealth::default());
        }
        assert_eq!(event(&mut health, Active, TRAP, now), Active);
        assert_eq!(event(&mut health, Active, TRAP, now), Active);
        assert_eq!(event(&mut health, Active, TRAP, now), Failed);
        let info = health.info(now);
        assert_eq!((info.failures_in_a_row, info.last_failure, info.trying), (3, Some("trap"), false));
        assert_eq!(info.back_off, Some(Duration::from_secs(1)));
    }

    #[test]
    fn no_number_of_failures_is_enough_when_the_policy_says_zero() {
        let (mut health, now) = health(0);
        for _ in 0..100 {
            assert_eq!(event(&mut health, Active, TRAP, now), Active);
        }
        assert_eq!(health.info(now).failures_in_a_row, 100);
    }

    #[test]
    fn the_back_off_doubles_up_to_its_longest() {
        let (mut health, mut now) = health(1);
        assert_eq!(event(&mut health, Active, TRAP, now), Failed);
        for seconds in [1, 2, 4, 5, 5] {
            let back_off = Duration::from_secs(seconds);
            assert_eq!(health.info(now).back_off, Some(back_off));
            assert_eq!(health.try_again(now + back_off - Duration::from_millis(1)), None);
            now += back_off;
            assert_eq!(health.info(now).back_off, Some(Duration::ZERO));
            let trial = health.try_again(now).unwrap();
            assert_eq!(health.try_again(now), None, "one at a time");
            assert!(health.info(now).trying);
            assert_eq!(health.judge(Failed, trial, TRAP, now), Failed);
        }
        now += Duration::from_secs(5);
        let trial = health.try_again(now).unwrap();
        assert_eq!(health.judge(Failed, trial, Verdict::Sound, now), Active);
        assert_eq!(health.info(now), SkillHealth::default());
        // And it begins with the shortest again.
        assert_eq!(event(&mut health, Active, TRAP, now), Failed);
        assert_eq!(health.info(now).back_off, Some(Duration::from_secs(1)));
    }

    #[test]
    fn an_event_that_says_nothing_leaves_the_try_to_the_next() {
        let (mut health, now) = health(1);
        event(&mut health, Active, TRAP, now);
        let later = now + Duration::from_secs(1);
        let trial = health.try_again(later).unwrap();
        assert_eq!(health.judge(Failed, trial, Verdict::None, later), Failed);
        assert!(health.try_again(later).is_some());
    }

    #[test]
    fn what_is_left_over_from_before_changes_nothing() {
        let (mut health, now) = health(2);
        let old = health.trial();
        event(&mut health, Active, TRAP, now);
        assert_eq!(event(&mut health, Active, TRAP, now), Failed);
        // Events that began before the skill failed.
        for verdict in [TRAP, Verdict::Sound, Verdict::None] {
            assert_eq!(health.judge(Failed, old, verdict, now), Failed);
        }
        assert_eq!(health.info(now).failures_in_a_row, 2);
        // Events of the old version.
        let old = health.try_again(now + Duration::from_secs(1)).unwrap();
        health.begin_anew();
        assert_eq!(health.judge(Active, old, TRAP, now), Active);
        assert_eq!(health.info(now), SkillHealth::default());
    }

    #[test]
    fn a_paused_skill_fails_when_it_takes_events_again() {
        let (mut health, now) = health(2);
        for _ in 0..3 {
            assert_eq!(event(&mut health, Paused, TRAP, now), Paused);
        }
        assert_eq!(event(&mut health, Active, TRAP, now), Failed);
    }
}
