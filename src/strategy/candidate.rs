//! The strategies a selector chooses from, and their replay on a pool's own past.

use super::{
    ConditionalQuantile, FixedHeadroom, Headroom, Idle, Learned, LearnedIdle, Learner, Levels,
    PoolView, Reactive, SpareRule, Strategy, Timers, Unit, Want, Watermark, learner::next_change,
};
use crate::{
    forecast::{
        bins::{ACTIVE_WINDOW, Calendar, Features, Scheme},
        events::{Event, Events},
        profile::STEP,
    },
    time::{Millis, Timestamp},
};
use std::{fmt, sync::Arc};

/// What a pool had taught at each instant, oldest first: what a strategy could have known then.
pub type Timeline = Vec<(Timestamp, Arc<Learned>)>;

/// A strategy to choose from.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Candidate {
    /// Nothing ahead of demand.
    Reactive {
        /// When idle nodes go.
        idle: Idle,
    },
    /// So many whole nodes spare.
    Headroom {
        /// Whole nodes.
        nodes: u32,
        /// Idle nodes beyond them go after this long.
        idle: Millis,
    },
    /// A share of all requests spare.
    Watermark {
        /// 0.1 = 10 %.
        share: f64,
        /// Idle nodes beyond it go after this long.
        idle: Millis,
    },
    /// A quantile of the coming rise spare.
    Quantile(SpareRule),
    /// So many nodes as the profile of the hours expects to be needed.
    Profile {
        /// Probability with which they suffice, 0..=1.
        level: f64,
        /// When idle nodes beyond them go.
        idle: Idle,
    },
}

impl fmt::Display for Candidate {
    /// As the policy is named that does the same all the time.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Reactive { idle } => write!(f, "reactive,{idle}"),
            Self::Headroom { nodes, idle } => write!(f, "headroom:{nodes}nodes,idle={idle}"),
            Self::Watermark { share, idle } => write!(f, "watermark:{share},idle={idle}"),
            Self::Quantile(rule) => write!(f, "{rule}"),
            Self::Profile { level, idle } => write!(f, "profile:{level},{idle}"),
        }
    }
}

/// What is followed before anything is known: within a few thousandths the candidate that cost least on
/// average over the first 40 % of five traces, of those that start at most 1.5 times as many nodes as a
/// reactive scaler.
pub fn prior_for(kappa: f64) -> Candidate {
    let scheme = Scheme::Burst;
    let middle = Idle::BreakEven { kappa, phi: 0.05 };
    let (level, keep, unit, idle) = if kappa <= 8.0 {
        (0.5, 0.9, Unit::Gpus, Idle::Fixed(Millis::from_mins(5)))
    } else if kappa < 50.0 {
        (0.8, 0.95, Unit::Windows, middle)
    } else {
        (0.95, 0.98, Unit::Windows, middle)
    };
    Candidate::Quantile(SpareRule { level, keep, scheme, unit, idle, calibrated: false })
}

/// Probabilities with which spare in GPUs is started and kept.
const IN_GPUS: [(f64, f64); 7] =
    [(0.5, 0.9), (0.7, 0.95), (0.8, 0.95), (0.9, 0.98), (0.95, 0.99), (0.98, 0.99), (0.99, 0.995)];

/// The same for spare in whole nodes.
const IN_NODES: [(f64, f64); 7] =
    [(0.5, 0.9), (0.7, 0.95), (0.8, 0.95), (0.8, 0.98), (0.9, 0.99), (0.95, 0.99), (0.98, 0.99)];

/// The same for empty nodes beside what is free.
const BESIDE: [(f64, f64); 5] = [(0.5, 0.8), (0.7, 0.95), (0.8, 0.95), (0.9, 0.95), (0.95, 0.98)];

/// Start and keep in whole nodes for situations that tell blocks of the day apart.
const BY_BLOCK: [(f64, f64); 3] = [(0.8, 0.95), (0.9, 0.99), (0.95, 0.99)];

/// All candidates where waiting costs `kappa`: a coarse grid, finer ones differ by less than a day's noise.
///
/// On the first 40 % of five traces fixed headrooms, watermarks and quantiles by the hour or by owners'
/// activity were never the best: a few of each are there for pools that are not like those, and for when
/// forecasts are not to be trusted. Node deficits and whole nodes started and kept at equal probabilities were
/// left out once there were past windows: nothing was lost.
pub fn candidates(kappa: f64) -> Vec<Candidate> {
    let fixed = |mins| Idle::Fixed(Millis::from_mins(mins));
    let break_even = |phi| Idle::BreakEven { kappa, phi };
    let reactive =
        [fixed(5), fixed(10), fixed(30), break_even(0.1), break_even(0.3), break_even(1.0)];
    let mut all = reactive.map(|idle| Candidate::Reactive { idle }).to_vec();
    all.push(Candidate::Headroom { nodes: 2, idle: Millis::from_mins(10) });
    all.push(Candidate::Watermark { share: 0.1, idle: Millis::from_mins(10) });
    let mut add = |scheme, unit, levels: &[(f64, f64)], idles: &[Idle]| {
        for &(level, keep) in levels {
            let calibrated = false;
            let rule = |&idle| {
                Candidate::Quantile(SpareRule { level, keep, scheme, unit, idle, calibrated })
            };
            all.extend(idles.iter().map(rule));
        }
    };
    let [short, middle] = [fixed(5), break_even(0.05)];
    add(Scheme::Burst, Unit::Gpus, &IN_GPUS, &[short, middle]);
    add(Scheme::Burst, Unit::Nodes, &IN_NODES, &[short, middle]);
    add(Scheme::Burst, Unit::Windows, &BESIDE, &[middle]);
    add(Scheme::BurstBlock, Unit::Nodes, &BY_BLOCK, &[short]);
    add(Scheme::WeekHour, Unit::Nodes, &[(0.9, 0.99)], &[middle]);
    add(Scheme::BurstActivity, Unit::Nodes, &[(0.9, 0.99)], &[middle]);
    all.extend([0.9, 0.98].map(|level| Candidate::Profile { level, idle: middle }));
    all.push(Candidate::Quantile(SpareRule {
        level: 0.8,
        keep: 0.95,
        scheme: Scheme::Burst,
        unit: Unit::Nodes,
        idle: middle,
        calibrated: true,
    }));
    all
}

impl Candidate {
    /// A strategy that knows at each instant what `timeline` and `levels` say was known then. Its zero
    /// lies `zero` after theirs.
    pub fn replay(
        &self,
        timeline: &Arc<Timeline>,
        levels: &Arc<Levels>,
        zero: Timestamp,
    ) -> Box<dyn Strategy> {
        match *self {
            Self::Reactive { idle: Idle::Fixed(idle) } => Box::new(Reactive::new(idle)),
            Self::Headroom { nodes, idle } => {
                Box::new(FixedHeadroom::new(Headroom::Nodes(nodes), idle))
            }
            Self::Watermark { share, idle } => Box::new(Watermark::new(share, idle)),
            Self::Reactive { .. } | Self::Quantile(_) | Self::Profile { .. } => {
                Box::new(Replayed {
                    candidate: *self,
                    timeline: Arc::clone(timeline),
                    levels: Arc::clone(levels),
                    shift: zero - Timestamp::ZERO,
                    events: Events::bounded(Timestamp::ZERO, 0, ACTIVE_WINDOW, 1 << 16),
                })
            }
        }
    }

    /// Whether it hangs on forecasts.
    pub const fn is_forecast(&self) -> bool {
        matches!(self, Self::Quantile(_) | Self::Profile { .. })
    }

    /// The candidate on its own, for a whole run.
    pub fn alone(&self) -> Box<dyn Strategy> {
        match *self {
            Self::Reactive { idle: idle @ Idle::BreakEven { .. } } => {
                Box::new(LearnedIdle::new(idle))
            }
            Self::Quantile(rule) => Box::new(ConditionalQuantile::new(rule)),
            Self::Profile { .. } => {
                Box::new(Learning { candidate: *self, learner: Learner::default() })
            }
            _ => self.replay(&Arc::default(), &Arc::default(), Timestamp::ZERO),
        }
    }

    /// What has to be known to build its view.
    fn timers(&self) -> Timers {
        let fragments = matches!(self, Self::Quantile(rule) if rule.unit == Unit::Windows);
        Timers { fragments, ..Timers::default() }
    }

    /// The candidate with the levels that were in use at `at`.
    #[must_use]
    pub fn corrected(&self, levels: &Levels, at: Timestamp) -> Self {
        match self {
            Self::Quantile(rule) => Self::Quantile(levels.rule(rule, at)),
            _ => *self,
        }
    }

    /// What the candidate wants now.
    pub fn want(&self, learned: Option<&Learned>, features: Features, view: &PoolView<'_>) -> Want {
        match *self {
            Self::Reactive { idle } => idle.only(learned, view),
            Self::Headroom { nodes, idle } => Want { spare_nodes: nodes, ..Want::nothing(idle) },
            Self::Watermark { share, idle } => Watermark::new(share, idle).want(view),
            Self::Quantile(rule) => rule.want(learned, &features, view),
            Self::Profile { level, idle } => expected(level, idle, learned, view),
        }
    }
}

/// At least the nodes that the profile expects to be needed within the horizon; without one nothing
/// beyond what waits.
fn expected(level: f64, idle: Idle, learned: Option<&Learned>, view: &PoolView<'_>) -> Want {
    let nothing = idle.only(learned, view);
    let Some((learned, profile)) = learned.and_then(|l| Some((l, l.profile.as_ref()?))) else {
        return nothing;
    };
    let current = view.demand_milli() as i64;
    let milli = profile.demand(view.now, learned.horizon, current, level).max(0) as u64;
    let floor_nodes = milli.div_ceil(view.node_milli()) as u32;
    Want { floor_nodes, wake_at: (view.now + Millis(1)).ceil_to(STEP), ..nothing }
}

/// A candidate that learns as it goes.
struct Learning {
    candidate: Candidate,
    learner: Learner,
}

impl Strategy for Learning {
    fn want(&mut self, view: &PoolView<'_>) -> Want {
        self.learner.observe(view);
        let learned = self.learner.learned().map(AsRef::as_ref);
        let want = self.candidate.want(learned, self.learner.features(view.now), view);
        Want { wake_at: want.wake_at.min(self.learner.next_change(view.now)), ..want }
    }
}

/// A candidate that learns, with what was known in the past.
struct Replayed {
    candidate: Candidate,
    timeline: Arc<Timeline>,
    levels: Arc<Levels>,
    shift: Millis,
    /// The last hour, for the situation.
    events: Events,
}

impl Strategy for Replayed {
    fn timers(&self) -> Timers {
        self.candidate.timers()
    }

    fn want(&mut self, view: &PoolView<'_>) -> Want {
        for arrival in view.arrivals {
            let (milli, shape, owner) = (arrival.gpu_milli, arrival.shape, arrival.owner);
            self.events.push(Event::arrival(arrival.at, milli, shape, owner));
        }
        self.events.forget(view.now);
        let then = view.now + self.shift;
        let known = self.timeline.partition_point(|&(at, _)| at <= then);
        let learned = known.checked_sub(1).map(|last| self.timeline[last].1.as_ref());
        let next_known =
            self.timeline.get(known).map_or(Timestamp::NEVER, |&(at, _)| at - self.shift);
        let calendar = Calendar { monday: Timestamp::ZERO - self.shift };
        let features = Features::at(&self.events, view.now, calendar);
        let wake_at = next_change(&self.events, view.now).min(next_known);
        // The hours of the profile are those of the timeline.
        let view = PoolView { now: then, ..view.clone() };
        let candidate = self.candidate.corrected(&self.levels, then);
        let want = candidate.want(learned, features, &view);
        let again = match want.wake_at {
            Timestamp::NEVER => Timestamp::NEVER,
            at => at - self.shift,
        };
        Want { wake_at: wake_at.min(again), ..want }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_prior_is_a_candidate_and_names_tell_them_apart() {
        for kappa in [0.5, 2.0, 5.0, 20.0, 100.0, 1000.0] {
            let all = candidates(kappa);
            assert!(all.len() <= 60);
            assert!(all.contains(&prior_for(kappa)), "kappa {kappa}");
            let names: BTreeSet<String> = all.iter().map(ToString::to_string).collect();
            assert_eq!(names.len(), all.len());
        }
    }

    #[test]
    fn a_pool_has_something_to_follow_without_forecasts() {
        let plain = candidates(20.0).into_iter().filter(|candidate| !candidate.is_forecast());
        assert!(plain.count() >= 2);
    }
}
