//! Which strategy a pool follows, and which day waits to be replayed.

use super::{
    decision::Selected,
    memory::{Memory, PoolMemory},
    settings::{PoolSettings, Settings},
};
use crate::{
    guard::ladder::{Rung, Verdict},
    model::{ReplayedDay, Shape},
    selector::{Brief, DAY, WARM_UP, Weights},
    strategy::Candidate,
    time::Timestamp,
};
use std::sync::Arc;

impl Memory {
    /// What is needed to replay the day that a decision named in `replays_due`; `None` if none is due.
    pub fn brief(&self, pool: usize, settings: &Settings, shapes: &[Shape]) -> Option<Brief> {
        let PoolMemory { candidates, kept, .. } = self.pools.get(pool)?;
        let day_ends = kept.due_day?;
        let begins = (day_ends - DAY - WARM_UP).max(kept.started.unwrap_or_default());
        Some(Brief {
            pool: pool as u32,
            day_ends,
            spec: settings.pools.get(pool)?.pool.clone(),
            placement: settings.placement,
            trace: kept.jobs.replay(begins, day_ends, shapes),
            begins,
            timeline: Arc::new(kept.timeline.clone()),
            levels: Arc::new(kept.learner.levels().clone()),
            candidates: Arc::clone(candidates),
        })
    }

    /// Takes in the replays that are done.
    pub(super) fn take(&mut self, replays: &[ReplayedDay], settings: &Settings) {
        for day in replays {
            let place = day.pool as usize;
            let (Some(pool), Some(settings)) =
                (self.pools.get_mut(place), settings.pools.get(place))
            else {
                continue;
            };
            if pool.kept.due_day == Some(day.ends) {
                pool.kept.scores.take(day, weights(pool, settings));
                pool.forget_replayed(day.ends);
            }
        }
    }
}

impl PoolMemory {
    /// Whether a day is over that waits to be replayed.
    pub(super) fn note_day(&mut self, now: Timestamp) -> bool {
        if now >= self.kept.next_day {
            if let Some(missed) = self.kept.due_day {
                self.forget_replayed(missed);
            }
            self.kept.due_day = Some(self.kept.next_day);
            self.kept.next_day += DAY;
        }
        self.kept.due_day.is_some()
    }

    /// Of a day that was replayed only what the next one's warm-up needs stays.
    fn forget_replayed(&mut self, day_ends: Timestamp) {
        self.kept.due_day = None;
        self.kept.jobs.forget(day_ends - WARM_UP);
        let timeline = &mut self.kept.timeline;
        let known = timeline.partition_point(|&(at, _)| at <= day_ends - WARM_UP);
        timeline.drain(..known.saturating_sub(1));
    }
}

/// The candidate that replays, or the user, chose.
pub(super) fn chosen(
    memory: &PoolMemory,
    settings: &PoolSettings,
    candidates: &[Candidate],
) -> usize {
    let scores = &memory.kept.scores;
    settings.pinned.unwrap_or_else(|| scores.active()).min(candidates.len() - 1)
}

/// The candidate to follow on this rung of the ladder.
pub(super) fn select(
    memory: &PoolMemory,
    settings: &PoolSettings,
    candidates: &[Candidate],
    verdict: &Verdict,
) -> Selected {
    let weights = weights(memory, settings);
    let scores = &memory.kept.scores;
    let active = chosen(memory, settings, candidates);
    let plain = (0..candidates.len()).filter(|&candidate| !candidates[candidate].is_forecast());
    let candidate = if verdict.rung < Rung::NonForecast || !candidates[active].is_forecast() {
        active
    } else {
        scores.cheapest_of(plain, weights).unwrap_or(active)
    };
    Selected {
        candidate,
        name: candidates[candidate].to_string(),
        days: scores.days(),
        kappa: weights.kappa,
    }
}

fn weights(memory: &PoolMemory, settings: &PoolSettings) -> Weights {
    Weights { kappa: memory.kept.mix.kappa(settings), gpus_per_node: settings.pool.gpus_per_node }
}
