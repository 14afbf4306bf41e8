//! The decision: how many nodes each pool should have now, and why.
//!
//! [`decide`] is pure and total: no clock, no I/O, no randomness, it cannot fail, and the same snapshot,
//! settings and memory give the same decision, bit by bit. Steps, each with a typed report:
//!
//! 1. *observe*: nodes by stage, demand, what the lead time is by now;
//! 2. *firm need*: what waits is packed onto what is free and on its way; the rest needs nodes now;
//! 3. *select*: the strategy to follow, from replays of past days;
//! 4. *speculative need*: what that strategy, the schedule and outside signals want ready;
//! 5. *guard*: never below a reactive controller, never above what the ledger covers, within all limits;
//! 6. *scale down*: by the same arithmetic that creates;
//! 7. *emit*: actions, the reasons, and when to look again.
//!
//! The live controller and the simulator differ only in who builds the snapshot and who carries out the
//! actions. Replays of past days run apart from the decision: it names the pools of which a day is over,
//! [`Memory::brief`] gives what [`crate::selector::replay`] needs, and the result comes back in a later
//! snapshot.

mod check;
mod decision;
mod firm;
mod guarded;
mod lead;
mod memory;
mod observe;
mod promise;
mod scale_down;
mod select;
mod settings;
mod signals;
mod speculative;

pub use check::{Fault, check};
pub use decision::{
    Decision, FirmNeed, Guarded, Observed, PoolReport, ScaleDown, Selected, Speculative,
};
pub use lead::NodeStarted;
pub use memory::{DamagedMemory, Memory, SCHEMA};
pub use promise::Promised;
pub(crate) use promise::Totals as PromiseTotals;
pub use settings::{Kappa, MOST_SIGNALS, PoolSettings, Settings, SignalSettings};
pub use signals::{SignalReport, SignalState};

use crate::{
    model::{Action, PoolSnapshot, Snapshot},
    packing::Fragments,
    strategy::{Candidate, PoolView, Want, settle::settle},
    time::{Millis, Timestamp},
};
use firm::PoolRoom;
use guarded::Guards;
use memory::PoolMemory;
use observe::Seen;
use signals::Beside;
use speculative::{Ahead, Wanted};
use std::sync::Arc;

/// After a day is over its replay is looked for this often.
const REPLAY_LOOK: Millis = Millis::from_secs(10);

/// Decides about all pools. Pools of the snapshot beyond those of the settings are left alone.
pub fn decide(
    now: Timestamp,
    snapshot: &Snapshot,
    settings: &Settings,
    memory: &mut Memory,
) -> Decision {
    memory.take(&snapshot.replays, settings);
    let pools = settings.pools.len().min(snapshot.pools.len());
    let seen: Vec<Seen> = (0..pools)
        .map(|pool| {
            let memory = &mut memory.pools[pool];
            let (told, settings) = (&snapshot.pools[pool], &settings.pools[pool]);
            observe::observe(now, snapshot.sight.view_age, told, settings, memory)
        })
        .collect();
    let packed = pack(snapshot, settings, &seen);
    let mut budget = guarded::total_budget(settings, &seen);
    let mut decision = Decision {
        actions: Vec::new(),
        wake_at: Timestamp::NEVER,
        why: Vec::with_capacity(pools),
        replays_due: Vec::new(),
    };
    for (pool, (seen, memory)) in seen.iter().zip(&mut memory.pools).enumerate() {
        let place = Place {
            now,
            snapshot,
            told: &snapshot.pools[pool],
            settings: &settings.pools[pool],
            seen,
            firm: packed.needs[pool],
            fragments: &packed.fragments[pool],
            waiting_milli: packed.waiting_milli[pool],
        };
        let candidates = Arc::clone(&memory.candidates);
        let (report, wake_at) = place.decide(memory, &candidates, &mut budget);
        emit(pool as u32, &report, &mut decision.actions);
        decision.why.push(report);
        decision.wake_at = decision.wake_at.min(wake_at);
        if memory.note_day(now) {
            decision.replays_due.push(pool as u32);
            decision.wake_at = decision.wake_at.min(now + REPLAY_LOOK);
        }
    }
    decision
}

fn pack(snapshot: &Snapshot, settings: &Settings, seen: &[Seen]) -> firm::Packed {
    let rooms: Vec<PoolRoom<'_>> = seen
        .iter()
        .zip(&settings.pools)
        .zip(&snapshot.pools)
        .map(|((seen, settings), told)| PoolRoom {
            pool: &settings.pool,
            nodes: &told.nodes,
            stuck: &seen.stuck,
            unseen: seen.observed.unseen_nodes,
            growth: seen.growth,
        })
        .collect();
    // Work that is held back counts as waiting where keeping a node for it pays: chance x kappa >= 1.
    let queued_from: Vec<f64> = seen.iter().map(|seen| 1.0 / seen.kappa.max(1.0)).collect();
    firm::pack(snapshot, &rooms, &queued_from)
}

fn emit(pool: u32, report: &PoolReport, actions: &mut Vec<Action>) {
    if report.create > 0 {
        actions.push(Action::Create { pool, nodes: report.create });
    }
    actions.extend(report.scale_down.nodes.iter().map(|&node| Action::Remove { pool, node }));
}

/// Everything about one pool at one instant.
struct Place<'a> {
    now: Timestamp,
    snapshot: &'a Snapshot,
    told: &'a PoolSnapshot,
    settings: &'a PoolSettings,
    seen: &'a Seen,
    firm: FirmNeed,
    fragments: &'a Fragments,
    waiting_milli: u64,
}

impl Place<'_> {
    fn decide(
        &self,
        memory: &mut PoolMemory,
        candidates: &[Candidate],
        budget: &mut u32,
    ) -> (PoolReport, Timestamp) {
        let demand = self.told.running_milli.saturating_add(self.waiting_milli);
        memory.kept.demand.note(self.now, demand);
        let view = self.view(memory);
        self.learn(&view, memory);
        let signals = self.hear(demand, memory);
        let metrics_age = signals::oldest(&signals).filter(|_| self.seen.kappa > 1.0);
        let mut guards = Guards::advance(self, &view, metrics_age, memory);
        let selected = select::select(memory, self.settings, candidates, &guards.verdict);
        let chosen = &candidates[select::chosen(memory, self.settings, candidates)];
        let kept = &mut memory.kept;
        kept.promises.advance(self.now, chosen, &kept.learner, self.settings);
        let wanted = self.want(&view, &selected, candidates, &signals, memory);
        let base = Want { floor_nodes: guards.floor(), ..Want::nothing(Millis::MAX) };
        let base = settle(&view, &base, std::iter::empty()).create;
        let base = guards.open(self.now, base, memory);
        let want = guards.bound(wanted.want);
        let idle = scale_down::idle_nodes(&self.told.nodes, self.settings.steps.min_hold);
        let plan = settle(&view, &want, idle.iter().map(|node| node.since));
        let ahead = plan.create.saturating_sub(base);
        let allowed = guards.allow(self, ahead, memory);
        let create = guards.within(budget, base + allowed);
        let change = (create, plan.remove);
        let scale_down = scale_down::choose(self, &want, change, &idle, &mut guards, memory);
        if create > 0 {
            memory.kept.last_create = Some(self.now);
        }
        let expiry = scale_down::next_expiry(self.now, &want, &idle);
        let wakes = [wanted.want.wake_at, guards.wake_at, expiry];
        let removed = scale_down.nodes.len() as u32;
        let base = base.min(create);
        let report = PoolReport {
            observed: Observed { waiting_milli: self.waiting_milli, ..self.seen.observed },
            firm: self.firm,
            selected,
            promised: memory.kept.promises.report(),
            drifted: memory.kept.drift.since,
            signals,
            speculative: Speculative { wanted_nodes: ahead, ..wanted.report },
            create,
            target_nodes: view.alive_nodes() + create - removed,
            guarded: guards.conclude(self, (base, create - base, removed), memory),
            scale_down,
        };
        let wake_at = wakes.into_iter().filter(|&at| at > self.now).min();
        (report, wake_at.unwrap_or(Timestamp::NEVER))
    }

    /// The pool as strategies see it. Stuck nodes are there, but nobody counts on them.
    fn view(&self, memory: &PoolMemory) -> PoolView<'_> {
        let observed = &self.seen.observed;
        let pool = &self.settings.pool;
        let seen = observed.requested_nodes + observed.warming_nodes - observed.stuck_nodes;
        PoolView {
            now: self.now,
            gpus_per_node: pool.gpus_per_node,
            lead_time: observed.lead_median,
            min_nodes: pool.min_nodes,
            max_nodes: pool.max_nodes.map(|max| max.saturating_sub(observed.stuck_nodes)),
            usable_nodes: observed.usable_nodes,
            idle_nodes: observed.idle_nodes,
            in_flight_nodes: seen.saturating_add(observed.unseen_nodes),
            running_milli: observed.running_milli,
            waiting_milli: self.waiting_milli,
            demand_integral: memory.kept.demand.integral,
            firm_nodes: self.firm.nodes,
            spare_milli: self.firm.spare_milli,
            spare_nodes: self.firm.spare_nodes,
            fragments: self.fragments,
            arrivals: &self.told.arrivals,
            finishes: &self.told.finishes,
            shapes: &self.snapshot.shapes,
            last_create: memory.kept.last_create,
        }
    }

    fn learn(&self, view: &PoolView<'_>, memory: &mut PoolMemory) {
        let kept = &mut memory.kept;
        kept.mix.note(view.arrivals, view.shapes, self.settings);
        if kept.learner.observe(view) {
            kept.timeline.extend(kept.learner.learned().map(|known| (view.now, known.clone())));
        }
        kept.jobs.note(view);
        kept.drift.advance(self.now);
        view.arrivals.iter().for_each(|_| kept.drift.arrival());
    }

    /// What outside signals say, and what is thought of them by now.
    fn hear(&self, demand: u64, memory: &mut PoolMemory) -> Vec<SignalReport> {
        let lead = memory.lead.times().quantile(0.95);
        let (now, kappa) = (self.now, self.seen.kappa);
        let events = memory.kept.learner.events();
        let beside = Beside { now, events, demand, kappa, lead };
        memory.kept.signals.advance(self.told, &self.settings.signals, &beside)
    }

    /// What the followed strategy, schedule and signals want. Where waiting costs no more than idling,
    /// nothing is wanted ahead of demand.
    fn want(
        &self,
        view: &PoolView<'_>,
        selected: &Selected,
        candidates: &[Candidate],
        signals: &[SignalReport],
        memory: &PoolMemory,
    ) -> Wanted {
        let learner = &memory.kept.learner;
        let known = learner.learned().map(AsRef::as_ref);
        let strategy = if selected.kappa > 1.0 {
            let followed = candidates[selected.candidate].corrected(learner.levels(), self.now);
            followed.want(known, learner.features(self.now), view)
        } else {
            Want::nothing(crate::strategy::IDLE_DEFAULT)
        };
        let wake_at = strategy.wake_at.min(learner.next_change(self.now)).min(memory.kept.next_day);
        let strategy = Want { wake_at, ..strategy };
        let lead = memory.lead.times().quantile(0.95);
        let ahead = Ahead {
            scheduled: &self.told.scheduled,
            signals,
            kappa: selected.kappa,
            lead,
            gpus_per_node: self.settings.pool.gpus_per_node,
        };
        speculative::join(self.now, &ahead, strategy)
    }
}
