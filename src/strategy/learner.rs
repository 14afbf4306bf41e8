//! What a pool has taught so far: quantiles of the rise of demand by situation, and the idle gaps of its
//! nodes.
//!
//! Every minute of the last 14 days tells by how much demand rose in the lead time that followed; every
//! six hours the quantiles and the gaps are taken anew. A rise is used only once its lead time has passed.
//! Between that, what became of forecasts corrects the levels of calibrated rules ([`Levels`]).

mod deficit_log;

use super::{Arrival, Candidate, Finish, Levels, PoolView};
use crate::{
    forecast::{
        bins::{BURST_WINDOW, Calendar, Features, REPEAT_WINDOW},
        deficit::NodeSizes,
        events::{Event, Events},
        gaps::{IdleGaps, NeededNodes},
        labels::{LOOK_BACK, Span, deltas},
        profile::Profile,
        quantile::Table,
        scenarios::Scenarios,
    },
    model::{OwnerId, ShapeId},
    time::{Millis, Timestamp},
    units::is_amount,
};
use deficit_log::DeficitLog;
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, sync::Arc};

/// How often both are taken anew.
const REFIT: Millis = Millis::from_hours(6);

/// Time that passes until a rise is noticed: one decision interval.
const NOTICE: Millis = Millis::from_secs(15);

/// Most open jobs remembered by name; beyond them the lowest ids, the oldest jobs, go first and end without
/// a name.
const MOST_OPEN: usize = 1 << 16;

/// What a strategy can know at an instant.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Learned {
    /// Quantiles of the rise, once there are any.
    pub table: Option<Table>,
    /// Quantiles of the node deficit in thousandths of a node, once there are any: see
    /// [`crate::forecast::deficit`].
    #[serde(default)]
    pub deficits: Option<Table>,
    /// Past windows to pack onto what is free, once there are any.
    #[serde(default)]
    pub scenarios: Option<Scenarios>,
    /// Within this time a rise counts: the lead time and the time until it is noticed.
    pub horizon: Millis,
    /// Idle gaps of the nodes.
    pub gaps: IdleGaps,
    /// Demand by the hour of the week, once there are a few days.
    #[serde(default)]
    pub profile: Option<Profile>,
}

impl Learned {
    /// Whether what was kept can have been.
    pub(crate) fn is_sound(&self) -> bool {
        let tables = [&self.table, &self.deficits];
        tables.into_iter().flatten().all(Table::is_sound)
            && self.scenarios.as_ref().is_none_or(Scenarios::is_sound)
            && (Millis::ZERO..=LOOK_BACK).contains(&self.horizon)
            && self.gaps.is_sound()
            && self.profile.as_ref().is_none_or(Profile::is_sound)
    }
}

/// Learns from the views of one pool.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Learner {
    events: Option<Events>,
    demand: i64,
    needed: NeededNodes,
    learned: Option<Arc<Learned>>,
    /// Arrivals of the jobs that have not ended, by job.
    #[serde(default)]
    open: BTreeMap<u32, Event>,
    #[serde(default)]
    deficits: DeficitLog,
    #[serde(default)]
    levels: Levels,
    refit_at: Timestamp,
}

impl Learner {
    /// Knows nothing yet; corrects the levels of those of `candidates` that are calibrated.
    pub fn calibrating(candidates: &[Candidate]) -> Self {
        Self { levels: Levels::of(candidates), ..Self::default() }
    }

    /// Takes in a view; true if there is something new to know.
    pub fn observe(&mut self, view: &PoolView<'_>) -> bool {
        self.needed.note(view.now, view.needed_nodes());
        self.note(view);
        if let (Some(events), Some(learned)) = (&self.events, &self.learned) {
            self.levels.advance(view.now, events, learned);
        }
        if view.now < self.refit_at {
            return false;
        }
        self.refit(view);
        true
    }

    /// Learns from jobs that came and went before the first view, each list in order of time. Views may have been
    /// taken in already: then the past ends where they begin, with the demand that the first of them showed.
    pub fn recall(&mut self, arrivals: &[Arrival], finishes: &[Finish]) {
        let until = self.events.as_ref().map_or(Timestamp::NEVER, Events::known_since);
        let mut past: Vec<Event> = Vec::new();
        let mut open = BTreeMap::new();
        for arrival in arrivals.iter().filter(|arrival| arrival.at < until) {
            let (milli, shape, owner) = (arrival.gpu_milli, arrival.shape, arrival.owner);
            let event = Event::arrival(arrival.at, milli, shape, owner);
            past.push(event);
            open.insert(arrival.job, event);
        }
        let Some(first) = past.first().map(|event| event.at) else { return };
        for finish in finishes.iter().filter(|finish| finish.at < until) {
            if let Some(event) = open.remove(&finish.job) {
                past.push(event.finished(finish.at));
            }
        }
        let seen = self.events.take();
        let rise: i64 = past.iter().map(|event| event.milli).sum();
        let before = seen.as_ref().map_or(0, |seen| seen.demand_at(until) - rise);
        let mut events = Events::new(first, before);
        for event in past {
            events.push(event);
        }
        if let Some(seen) = seen {
            for &event in &seen {
                events.push(event);
            }
        } else {
            // Otherwise the views tell what is open.
            self.demand = open.values().map(|event| event.milli).sum();
            self.open = open;
            bound(&mut self.open);
        }
        self.events = Some(events);
        self.deficits = DeficitLog::default();
        self.refit_at = Timestamp::ZERO;
    }

    /// Whether what was kept can have been.
    pub(crate) fn is_sound(&self) -> bool {
        is_amount(self.demand >> 20)
            && self.events.as_ref().is_none_or(Events::is_sound)
            && self.needed.is_sound()
            && self.learned.as_ref().is_none_or(|learned| learned.is_sound())
            && self.open.len() <= MOST_OPEN
            && self.open.values().all(|event| is_amount(event.milli))
            && self.deficits.is_sound()
            && self.levels.are_sound()
    }

    /// What is known, once there is something.
    pub const fn learned(&self) -> Option<&Arc<Learned>> {
        self.learned.as_ref()
    }

    /// Levels that were in use.
    pub const fn levels(&self) -> &Levels {
        &self.levels
    }

    /// What came and went, once there was a view.
    pub const fn events(&self) -> Option<&Events> {
        self.events.as_ref()
    }

    /// When more will be known.
    pub const fn next_refit(&self) -> Timestamp {
        self.refit_at
    }

    /// The situation at an instant.
    pub fn features(&self, now: Timestamp) -> Features {
        let events = self.events.as_ref();
        events.map_or_else(Features::default, |e| Features::at(e, now, Calendar::default()))
    }

    /// When the situation or the quantiles may change although nothing happens.
    pub fn next_change(&self, now: Timestamp) -> Timestamp {
        let next = self.events.as_ref().map(|events| next_change(events, now));
        next.unwrap_or(Timestamp::NEVER).min(self.refit_at)
    }

    /// Notes what came, and what must have ended since for demand to be what it is. The first view
    /// tells of nothing but the demand there is.
    ///
    /// A finish that was told names the arrival it ends; the rest of the fall, as of jobs that were withdrawn
    /// or ran before the first view, has no name. All of it counts from this view on, so demand, and with it
    /// every rise, is the same with and without names.
    fn note(&mut self, view: &PoolView<'_>) {
        let now_milli = view.demand_milli() as i64;
        let Some(events) = &mut self.events else {
            self.events = Some(Events::new(view.now, now_milli));
            self.refit_at = view.now + REFIT;
            self.demand = now_milli;
            return;
        };
        let mut expected = self.demand;
        // What ran already when it was first seen is part of the demand before.
        for arrival in view.arrivals.iter().filter(|arrival| !arrival.is_running) {
            let (milli, shape, owner) = (arrival.gpu_milli, arrival.shape, arrival.owner);
            let event = Event::arrival(arrival.at, milli, shape, owner);
            expected += event.milli;
            events.push(event);
            self.open.insert(arrival.job, event);
        }
        for finish in view.finishes {
            let Some(event) = self.open.remove(&finish.job) else { continue };
            // Never more than demand fell by.
            if expected - event.milli >= now_milli {
                expected -= event.milli;
                events.push(Event { at: view.now, milli: -event.milli, ..event });
            }
        }
        bound(&mut self.open);
        if expected > now_milli {
            events.push(Event {
                at: view.now,
                arrived: Timestamp(i64::MIN),
                milli: now_milli - expected,
                shape: ShapeId(0),
                owner: OwnerId(0),
            });
        }
        self.demand = now_milli;
    }

    fn refit(&mut self, view: &PoolView<'_>) {
        let Some(events) = &mut self.events else { return };
        self.refit_at = view.now + REFIT;
        events.forget(view.now);
        let span = Span::recent(view.now, view.lead_time + NOTICE);
        let labels = deltas(events, &span);
        let count = labels.values.len();
        let features =
            Features::sweep(events, labels.first, labels.step, count, Calendar::default());
        let table = Table::fit(&features, &labels.values, None);
        let sizes = NodeSizes::new(view.gpus_per_node, view.shapes);
        self.deficits.extend(events, &sizes, &span);
        let deficits = self.deficits.table(events, span.step);
        self.learned = Some(Arc::new(Learned {
            table,
            deficits,
            scenarios: Scenarios::fit(events, &sizes, &span, &features),
            horizon: span.horizon,
            gaps: self.needed.gaps(view.now),
            profile: Profile::fit(events, view.now, span.horizon),
        }));
    }
}

fn bound(open: &mut BTreeMap<u32, Event>) {
    while open.len() > MOST_OPEN {
        open.pop_first();
    }
}

/// When the situation may change although nothing happens.
pub(super) fn next_change(events: &Events, now: Timestamp) -> Timestamp {
    let oldest = events.window(now - BURST_WINDOW, now).find(|event| event.is_arrival());
    let burst_ends = oldest.map_or(Timestamp::NEVER, |event| event.at + BURST_WINDOW);
    let newest = events.iter().next_back().filter(|event| event.at > now - REPEAT_WINDOW);
    let repeat_ends = newest.map_or(Timestamp::NEVER, |event| event.at + REPEAT_WINDOW);
    let next_hour = (now + Millis(1)).ceil_to(Millis::from_hours(1));
    burst_ends.min(repeat_ends).min(next_hour)
}

#[cfg(test)]
mod tests;
