//! The strategies a selector chooses from, and their replay on a pool's own past.

use super::{
    ConditionalQuantile, FixedHeadroom, Headroom, Idle, Learned, LearnedIdle, PoolView, Reactive,
    SpareRule, Strategy, Unit, Want, Watermark, learner::next_change,
};
use crate::{
    forecast::{
        bins::{ACTIVE_WINDOW, Calendar, Features, Scheme},
        events::{Event, Events},
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
}

impl fmt::Display for Candidate {
    /// As the policy is named that does the same all the time.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Reactive { idle } => write!(f, "reactive,{idle}"),
            Self::Headroom { nodes, idle } => write!(f, "headroom:{nodes}nodes,idle={idle}"),
            Self::Watermark { share, idle } => write!(f, "watermark:{share},idle={idle}"),
            Self::Quantile(rule) => write!(f, "{rule}"),
        }
    }
}

/// What is followed before anything is known: the newsvendor quantile in whole nodes, somewhat below it
/// because the first jobs of a burst wait whatever is kept; at a low price of waiting only a shorter
/// idle time.
pub fn prior_for(kappa: f64) -> Candidate {
    let mins = |mins| Idle::Fixed(Millis::from_mins(mins));
    if kappa <= 8.0 {
        return Candidate::Reactive { idle: mins(5) };
    }
    let level = if kappa < 50.0 { 0.7 } else { 0.95 };
    let (scheme, unit) = (Scheme::Burst, Unit::Nodes);
    Candidate::Quantile(SpareRule { level, keep: level, scheme, unit, idle: mins(10) })
}

/// All candidates, a coarse grid: finer ones differ by less than a day's noise.
pub fn candidates() -> Vec<Candidate> {
    let mins = Millis::from_mins;
    let reactive = [0, 5, 10, 30, 60, 120, 240]
        .map(|idle| Candidate::Reactive { idle: Idle::Fixed(mins(idle)) });
    let headroom = [1, 2, 4, 8].map(|nodes| Candidate::Headroom { nodes, idle: mins(10) });
    let watermark = [0.05, 0.1, 0.2].map(|share| Candidate::Watermark { share, idle: mins(10) });
    let mut all: Vec<Candidate> = reactive.into_iter().chain(headroom).chain(watermark).collect();
    let mut add = |scheme, unit, levels: &[f64], idles: &[i64]| {
        for &level in levels {
            for &idle in idles {
                let rule =
                    SpareRule { level, keep: level, scheme, unit, idle: Idle::Fixed(mins(idle)) };
                all.push(Candidate::Quantile(rule));
            }
        }
    };
    add(Scheme::Burst, Unit::Nodes, &[0.5, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99], &[5, 10, 30, 60]);
    add(Scheme::Burst, Unit::Gpus, &[0.5, 0.8, 0.95, 0.99], &[5, 10, 30]);
    add(Scheme::All, Unit::Nodes, &[0.7, 0.9, 0.95], &[10]);
    add(Scheme::Hour, Unit::Nodes, &[0.7, 0.9, 0.95], &[10]);
    all
}

impl Candidate {
    /// A strategy that knows at each instant what `timeline` says was known then. Its zero lies `zero`
    /// after the timeline's.
    pub fn replay(&self, timeline: &Arc<Timeline>, zero: Timestamp) -> Box<dyn Strategy> {
        match *self {
            Self::Reactive { idle: Idle::Fixed(idle) } => Box::new(Reactive::new(idle)),
            Self::Headroom { nodes, idle } => {
                Box::new(FixedHeadroom::new(Headroom::Nodes(nodes), idle))
            }
            Self::Watermark { share, idle } => Box::new(Watermark::new(share, idle)),
            Self::Reactive { .. } | Self::Quantile(_) => Box::new(Replayed {
                candidate: *self,
                timeline: Arc::clone(timeline),
                shift: zero - Timestamp::ZERO,
                events: Events::bounded(Timestamp::ZERO, 0, ACTIVE_WINDOW, 1 << 16),
            }),
        }
    }

    /// Whether it hangs on forecasts.
    pub const fn is_forecast(&self) -> bool {
        matches!(self, Self::Quantile(_))
    }

    /// The candidate on its own, for a whole run.
    pub fn alone(&self) -> Box<dyn Strategy> {
        match *self {
            Self::Reactive { idle: idle @ Idle::BreakEven { .. } } => {
                Box::new(LearnedIdle::new(idle))
            }
            Self::Quantile(rule) => Box::new(ConditionalQuantile::new(rule)),
            _ => self.replay(&Arc::default(), Timestamp::ZERO),
        }
    }

    /// What the candidate wants now.
    pub fn want(&self, learned: Option<&Learned>, features: Features, view: &PoolView<'_>) -> Want {
        match *self {
            Self::Reactive { idle } => idle.only(learned, view),
            Self::Headroom { nodes, idle } => Want { spare_nodes: nodes, ..Want::nothing(idle) },
            Self::Watermark { share, idle } => Watermark::new(share, idle).want(view),
            Self::Quantile(rule) => rule.want(learned, &features, view),
        }
    }
}

/// A candidate that learns, with what was known in the past.
struct Replayed {
    candidate: Candidate,
    timeline: Arc<Timeline>,
    shift: Millis,
    /// The last hour, for the situation.
    events: Events,
}

impl Strategy for Replayed {
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
        Want { wake_at, ..self.candidate.want(learned, features, view) }
    }
}
