//! The strategies a selector chooses from, and their replay on a pool's own past.

use super::{
    Idle, Learned, PoolView, Reactive, SpareRule, Strategy, Unit, Want, learner::next_change,
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
    Quantile(SpareRule),
}

/// Probabilities with which spare in GPUs is started and kept.
const IN_GPUS: [(f64, f64); 7] =
    [(0.5, 0.9), (0.7, 0.95), (0.8, 0.95), (0.9, 0.98), (0.95, 0.99), (0.98, 0.99), (0.99, 0.995)];

/// The same for spare in whole nodes.
const IN_NODES: [(f64, f64); 7] =
    [(0.5, 0.9), (0.7, 0.95), (0.8, 0.95), (0.8, 0.98), (0.9, 0.99), (0.95, 0.99), (0.98, 0.99)];

/// The same in whole nodes for situations that tell blocks of the day apart.
const BY_BLOCK: [(f64, f64); 3] = [(0.8, 0.95), (0.9, 0.99), (0.95, 0.99)];

/// All candidates where waiting costs `kappa`: a coarse grid, finer ones differ by less than a day's noise.
///
/// On the first 40 % of five traces fixed headrooms, watermarks and quantiles by the hour or by nothing
/// were never the best. One level for both starting and keeping, and situations that look at owners,
/// gained at most a hundredth here and there, and started up to twice as many nodes.
pub(super) fn candidates(kappa: f64) -> Vec<Candidate> {
    let fixed = |mins| Idle::Fixed(Millis::from_mins(mins));
    let break_even = |phi| Idle::BreakEven { kappa, phi };
    let reactive =
        [fixed(5), fixed(10), fixed(30), break_even(0.1), break_even(0.3), break_even(1.0)];
    let mut all = reactive.map(|idle| Candidate::Reactive { idle }).to_vec();
    let mut add = |scheme, unit, levels: &[(f64, f64)], idles: &[Idle]| {
        for &(level, keep) in levels {
            let rule = |&idle| Candidate::Quantile(SpareRule { level, keep, scheme, unit, idle });
            all.extend(idles.iter().map(rule));
        }
    };
    let [short, middle, long] = [fixed(5), break_even(0.05), break_even(0.3)];
    add(Scheme::Burst, Unit::Gpus, &IN_GPUS, &[short, middle, long]);
    add(Scheme::Burst, Unit::Nodes, &IN_NODES, &[short, middle, long]);
    add(Scheme::BurstBlock, Unit::Nodes, &BY_BLOCK, &[short, middle]);
    all
}

impl Candidate {
    /// A strategy that knows at each instant what `timeline` says was known then. Its zero lies `zero`
    /// after the timeline's.
    pub(super) fn replay(&self, timeline: &Arc<Timeline>, zero: Timestamp) -> Box<dyn Strategy> {
        match *self {
            Self::Reactive { idle: Idle::Fixed(idle) } => Box::new(Reactive::new(idle)),
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
