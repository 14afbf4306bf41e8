//! The strategies a selector chooses from, and their replay on a pool's own past.

use super::{
    FixedHeadroom, Headroom, Idle, Learned, PoolView, Reactive, SpareRule, Strategy, Unit, Want,
    Watermark, learner::next_change,
};
use crate::{
    forecast::{
        bins::{ACTIVE_WINDOW, Calendar, Features, Scheme},
        events::{Event, Events},
    },
    time::{Millis, Timestamp},
};
use std::sync::Arc;

/// What a pool had taught at each instant, oldest first: what a strategy could have known then.
pub(super) type Timeline = Vec<(Timestamp, Arc<Learned>)>;

/// A strategy to choose from.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Candidate {
    Reactive { idle: Idle },
    Headroom { nodes: u32, idle: Millis },
    Watermark { share: f64, idle: Millis },
    Quantile(SpareRule),
}

/// All candidates, a coarse grid: finer ones differ by less than a day's noise.
pub(super) fn candidates() -> Vec<Candidate> {
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
    pub(super) fn replay(&self, timeline: &Arc<Timeline>, zero: Timestamp) -> Box<dyn Strategy> {
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

    /// What the candidate wants now.
    pub(super) fn want(
        &self,
        learned: Option<&Learned>,
        features: Features,
        view: &PoolView<'_>,
    ) -> Want {
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
