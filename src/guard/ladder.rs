//! The freeze ladder: how far to trust what is seen and forecast.
//!
//! Old news freezes: nothing new on speculation, nothing removed. Older news, a short history or a
//! forecast that is worse than none leave the forecasts out; errors of the cluster's interface leave only
//! what the shadow would do. Whoever is blind, that is does not know what runs, removes nothing; whoever lacks
//! metrics alone still sees what is idle, so the ledger may let nodes go, and beyond ten minutes without metrics
//! the pool is run without them.

use crate::time::Millis;
use serde::{Deserialize, Serialize};
use std::fmt;

/// News no older than this is fresh.
pub const FRESH: Millis = Millis::from_secs(60);
/// News older than this freezes. In between it stays as it was.
pub const STALE: Millis = Millis::from_secs(120);
/// News older than this is no ground for forecasts.
pub const OLD: Millis = Millis::from_secs(600);
/// Forecasts need at least so much history.
pub const HISTORY: Millis = Millis::from_hours(72);

/// What is known of the inputs at a look.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Inputs {
    /// Age of what is known of pods and nodes.
    pub pods_age: Millis,
    /// Age of the oldest of the pool's outside signals, if any is in use.
    pub metrics_age: Option<Millis>,
    /// How far back demand is known.
    pub history: Millis,
    /// Skill of the active forecast as [`super::skill::Skill::skill`] gives it; below zero = worse than
    /// none.
    pub skill: Option<f64>,
    /// The bound is missed far more or less often than it promises.
    pub coverage_alarm: bool,
    /// Demand is not what it was.
    pub drift_alarm: bool,
    /// The cluster's interface answers with errors.
    pub api_errors: bool,
}

/// How far decisions may go, most free first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Rung {
    /// The active strategy.
    Normal,
    /// What there is stays: nothing new on speculation, nothing removed.
    Freeze,
    /// The best strategy that does not forecast.
    NonForecast,
    /// What the shadow would do.
    ShadowReactive,
}

impl fmt::Display for Rung {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Normal => "what is seen and forecast is trusted",
            Self::Freeze => "frozen: nothing new ahead of demand, nothing removed",
            Self::NonForecast => "forecasts are left out",
            Self::ShadowReactive => "only what a reactive controller would do",
        })
    }
}

/// Why it is not [`Rung::Normal`].
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub enum Cause {
    /// Pods and nodes were last seen so long ago.
    StalePods(Millis),
    /// An outside signal in use is so old.
    StaleMetrics(Millis),
    /// Demand is known for so long only. A strategy that does not learn from it may go on.
    ShortHistory(Millis),
    /// The forecast is worse than none by so much.
    NoSkill(f64),
    /// The bound does not cover what it promises.
    Coverage,
    /// Demand is not what it was.
    Drift,
    /// The cluster's interface answers with errors.
    ApiErrors,
}

impl Cause {
    /// The rung it asks for.
    pub fn rung(&self) -> Rung {
        match *self {
            Self::StalePods(age) | Self::StaleMetrics(age) if age <= OLD => Rung::Freeze,
            Self::ApiErrors => Rung::ShadowReactive,
            _ => Rung::NonForecast,
        }
    }

    /// Nothing may be removed, because what runs now is not known.
    pub const fn is_blind(&self) -> bool {
        matches!(self, Self::StalePods(_) | Self::ApiErrors)
    }

    /// Nothing new on speculation, and no node goes for being idle.
    pub fn freezes(&self) -> bool {
        self.is_blind() || matches!(self, Self::StaleMetrics(age) if *age <= OLD)
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let secs = |age: &Millis| age.0 / 1000;
        match self {
            Self::StalePods(age) => {
                write!(f, "Pods and nodes were last seen {} s ago.", secs(age))
            }
            Self::StaleMetrics(age) => write!(f, "An outside signal is {} s old.", secs(age)),
            Self::ShortHistory(history) => write!(
                f,
                "Demand is known for {:.1} h; forecasts need {:.0} h.",
                history.as_hours(),
                HISTORY.as_hours()
            ),
            Self::NoSkill(skill) => write!(
                f,
                "Over the last week the forecast was worse than a constant, by {:.3} nodes on average.",
                -skill
            ),
            Self::Coverage => f.write_str(
                "Demand exceeds the forecast's bound far more or less often than it should.",
            ),
            Self::Drift => f.write_str("Demand has changed and the forecast was learned before."),
            Self::ApiErrors => f.write_str("The cluster's interface answers with errors."),
        }
    }
}

/// Where the ladder stands, and why.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Verdict {
    /// The strictest rung that a cause asks for.
    pub rung: Rung,
    /// All causes, in the order of [`Cause`].
    pub causes: Vec<Cause>,
}

impl Verdict {
    /// Whether new nodes may be requested on speculation (by a strategy that the rung allows).
    pub fn may_speculate(&self) -> bool {
        self.rung < Rung::ShadowReactive && !self.is_frozen()
    }

    /// Whether idle nodes may be removed.
    pub fn may_remove(&self) -> bool {
        !self.is_frozen()
    }

    /// Whether idle nodes may be removed because the ledger is used up.
    pub fn may_shed(&self) -> bool {
        !self.is_blind()
    }

    fn is_frozen(&self) -> bool {
        self.causes.iter().any(Cause::freezes)
    }

    fn is_blind(&self) -> bool {
        self.causes.iter().any(Cause::is_blind)
    }
}

/// The state: whether news was stale at the last look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ladder {
    pods_stale: bool,
    metrics_stale: bool,
}

impl Ladder {
    /// Where it stands now.
    pub fn climb(&mut self, inputs: &Inputs) -> Verdict {
        self.pods_stale = is_stale(self.pods_stale, inputs.pods_age);
        self.metrics_stale =
            inputs.metrics_age.is_some_and(|age| is_stale(self.metrics_stale, age));
        let skill = inputs.skill.filter(|&skill| skill < 0.0);
        let causes = [
            self.pods_stale.then_some(Cause::StalePods(inputs.pods_age)),
            inputs.metrics_age.filter(|_| self.metrics_stale).map(Cause::StaleMetrics),
            (inputs.history < HISTORY).then_some(Cause::ShortHistory(inputs.history)),
            skill.map(Cause::NoSkill),
            inputs.coverage_alarm.then_some(Cause::Coverage),
            inputs.drift_alarm.then_some(Cause::Drift),
            inputs.api_errors.then_some(Cause::ApiErrors),
        ];
        let causes: Vec<Cause> = causes.into_iter().flatten().collect();
        let rung = causes.iter().map(Cause::rung).max().unwrap_or(Rung::Normal);
        Verdict { rung, causes }
    }
}

/// Between fresh and stale it stays what it was.
fn is_stale(was: bool, age: Millis) -> bool {
    age > STALE || (was && age > FRESH)
}

#[cfg(test)]
mod tests {
    use super::{
        Rung::{Freeze, NonForecast, Normal},
        *,
    };

    fn good() -> Inputs {
        Inputs {
            pods_age: Millis::from_secs(5),
            metrics_age: Some(Millis::from_secs(30)),
            history: HISTORY,
            skill: Some(0.2),
            coverage_alarm: false,
            drift_alarm: false,
            api_errors: false,
        }
    }

    fn verdict(inputs: &Inputs) -> Verdict {
        Ladder::default().climb(inputs)
    }

    #[test]
    fn with_good_inputs_everything_is_allowed() {
        let verdict = verdict(&good());
        assert_eq!((verdict.rung, verdict.causes.len()), (Normal, 0));
        assert!(verdict.may_speculate() && verdict.may_remove());
        assert_eq!(self::verdict(&Inputs { skill: None, ..good() }).rung, Normal);
        assert_eq!(self::verdict(&Inputs { metrics_age: None, ..good() }).rung, Normal);
    }

    #[test]
    fn between_one_and_two_minutes_it_stays_as_it_was() {
        let mut ladder = Ladder::default();
        let mut rung =
            |secs| ladder.climb(&Inputs { pods_age: Millis::from_secs(secs), ..good() }).rung;
        let rungs = [60, 100, 120, 121, 100, 61, 60, 100, 601, 600, 90, 59].map(&mut rung);
        assert_eq!(
            rungs,
            [
                Normal,
                Normal,
                Normal,
                Freeze,
                Freeze,
                Freeze,
                Normal,
                Normal,
                NonForecast,
                Freeze,
                Freeze,
                Normal
            ]
        );
    }

    #[test]
    fn who_is_blind_removes_nothing_and_adds_nothing_on_speculation() {
        let old = Millis::from_secs(700);
        for inputs in [
            Inputs { pods_age: old, ..good() },
            Inputs { pods_age: Millis::from_secs(121), ..good() },
            Inputs { api_errors: true, ..good() },
            Inputs { pods_age: old, metrics_age: Some(old), ..good() },
        ] {
            let verdict = verdict(&inputs);
            assert!(!verdict.may_remove() && !verdict.may_speculate(), "{inputs:?}");
            assert!(!verdict.may_shed(), "{inputs:?}");
        }
    }

    #[test]
    fn whoever_lacks_metrics_alone_waits_ten_minutes_and_does_without() {
        let with = |secs| verdict(&Inputs { metrics_age: Some(Millis::from_secs(secs)), ..good() });
        let may = |verdict: &Verdict| {
            (verdict.rung, verdict.may_speculate(), verdict.may_remove(), verdict.may_shed())
        };
        assert_eq!(may(&with(120)), (Normal, true, true, true));
        assert_eq!(may(&with(121)), (Freeze, false, false, true));
        assert_eq!(may(&with(600)), (Freeze, false, false, true));
        assert_eq!(may(&with(601)), (NonForecast, true, true, true));
    }

    #[test]
    fn a_bad_forecast_leaves_the_other_strategies() {
        for inputs in [
            Inputs { history: HISTORY - Millis(1), ..good() },
            Inputs { skill: Some(-0.01), ..good() },
            Inputs { coverage_alarm: true, ..good() },
            Inputs { drift_alarm: true, ..good() },
        ] {
            let verdict = verdict(&inputs);
            assert_eq!((verdict.rung, verdict.causes.len()), (NonForecast, 1));
            assert!(verdict.may_remove() && verdict.may_speculate());
        }
        // Being the constant itself is not worse than it.
        assert_eq!(verdict(&Inputs { skill: Some(0.0), ..good() }).rung, Normal);
    }

    #[test]
    fn the_strictest_cause_decides_and_all_are_told() {
        let verdict = verdict(&Inputs {
            pods_age: Millis::from_secs(150),
            history: Millis::from_hours(5),
            skill: Some(-0.25),
            api_errors: true,
            ..good()
        });
        assert_eq!(verdict.rung, Rung::ShadowReactive);
        let told: Vec<_> = verdict.causes.iter().map(ToString::to_string).collect();
        assert_eq!(
            told,
            [
                "Pods and nodes were last seen 150 s ago.",
                "Demand is known for 5.0 h; forecasts need 72 h.",
                "Over the last week the forecast was worse than a constant, by 0.250 nodes on average.",
                "The cluster's interface answers with errors.",
            ]
        );
    }
}
