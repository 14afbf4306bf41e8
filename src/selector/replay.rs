//! One day of a pool, lived again with each candidate.

use crate::{
    model::{DayCost, Pool, ReplayedDay, Trace},
    strategy::{Candidate, Levels, Timeline},
    time::{Millis, Timestamp},
    units::{gpu_hours, node_hours},
    world::{self, Outcome, Placement, Setup},
};
use rayon::prelude::*;
use std::sync::Arc;

/// A day.
pub(crate) const DAY: Millis = Millis::from_hours(24);

/// A replay starts so long before the day it scores.
pub(crate) const WARM_UP: Millis = Millis::from_hours(2);

/// Everything a replay needs, and nothing that changes while it runs.
#[derive(Clone, Debug)]
pub struct Brief {
    /// Index of the pool in the settings.
    pub pool: u32,
    /// End of the day.
    pub day_ends: Timestamp,
    pub(crate) spec: Pool,
    pub(crate) placement: Placement,
    /// The jobs of the day and its warm-up; second 0 is `begins`.
    pub(crate) trace: Trace,
    pub(crate) begins: Timestamp,
    pub(crate) timeline: Arc<Timeline>,
    pub(crate) levels: Arc<Levels>,
    pub(crate) candidates: Arc<[Candidate]>,
}

/// Costs of all candidates on the day of the brief.
pub fn replay(brief: &Brief) -> ReplayedDay {
    let since_begin = |at: Timestamp| Timestamp::ZERO + (at - brief.begins);
    let setup = Setup {
        // Replays know no faults: what is chosen must not hang on one drawn failure.
        pools: vec![Pool { supply: Vec::new(), failure_rate: 0.0, ..brief.spec.clone() }],
        placement: brief.placement,
        decision_every: Setup::DECISION_EVERY,
        seed: 0,
        end: since_begin(brief.day_ends),
        score_from: since_begin((brief.day_ends - DAY).max(brief.begins)),
        series_bin: None,
    };
    let cost_of = |candidate: &Candidate| {
        let mut strategy = vec![candidate.replay(&brief.timeline, &brief.levels, brief.begins)];
        cost(&setup, &world::run(&brief.trace, &setup, &mut strategy, &|_| true))
    };
    let costs = brief.candidates.par_iter().map(cost_of).collect();
    ReplayedDay { pool: brief.pool, ends: brief.day_ends, costs }
}

fn cost(setup: &Setup, outcome: &Outcome) -> DayCost {
    let billed = outcome.nodes.iter().map(|node| {
        let span = node.gone.min(setup.end) - node.requested.max(setup.score_from);
        i128::from(span.max(Millis::ZERO).0)
    });
    let waiting = outcome.causes.0.iter().sum();
    DayCost { node_hours: node_hours(billed.sum()), waiting_gpu_hours: gpu_hours(waiting) }
}
