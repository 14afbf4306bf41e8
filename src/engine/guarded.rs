//! The guards around one decision: never below the shadow, never above what the ledger covers, within
//! all limits, and only as far as what is seen can be trusted.

use super::{
    Place, Settings,
    decision::Guarded,
    lead::Lead,
    memory::{Flights, PoolMemory},
    observe::Seen,
};
use crate::{
    guard::{
        ladder::{Inputs, Rung, Verdict},
        ledger::Standing,
        limits::{Binding, Bounded, Limit},
        shadow::ShadowWorld,
    },
    model::{NodeSnapshot, NodeStage},
    strategy::{IDLE_DEFAULT, PoolView, Want},
    time::{Millis, Timestamp},
};

/// While the credit bounds, it is looked at this often whether it has recovered.
const CREDIT_LOOK: Millis = Millis::from_secs(60);

/// What the guards know at one look.
#[derive(Debug)]
pub(super) struct Guards {
    pub(super) verdict: Verdict,
    standing: Standing,
    /// For each node on its way ahead of demand, how long it may still need.
    committed: Vec<Millis>,
    bindings: Vec<Binding>,
    pub(super) wake_at: Timestamp,
}

impl Guards {
    /// Brings shadow and ledger up to now.
    pub(super) fn advance(
        place: &Place<'_>,
        view: &PoolView<'_>,
        metrics_age: Option<Millis>,
        memory: &mut PoolMemory,
    ) -> Self {
        let kept = &mut memory.kept;
        let lead = view.lead_time;
        let world =
            ShadowWorld { lead, ..ShadowWorld::new(&place.settings.pool, &place.snapshot.shapes) };
        kept.shadow.advance(place.now, &place.told.arrivals, &place.told.finishes, &world);
        let (unseen, unseen_ahead) = kept.flights.unseen();
        let standing = Standing {
            alive: (place.told.nodes.len() as u32).saturating_add(unseen),
            shadow: kept.shadow.alive(),
            needed: needed(view, &kept.flights),
        };
        kept.ledger.advance(place.now, standing);
        let mut committed = committed(place.now, &place.told.nodes, &kept.flights, &memory.lead);
        let whole = memory.lead.times().stuck_after();
        committed.extend(std::iter::repeat_n(whole, unseen_ahead as usize));
        let sight = &place.snapshot.sight;
        let verdict = kept.ladder.climb(&Inputs {
            pods_age: sight.view_age,
            metrics_age,
            // A short history is carried by the prior and, in the end, by the ledger.
            history: Millis::MAX,
            skill: kept.promises.skill.skill(),
            // Both are told in the decision and decide nothing. Measured on the first 40 % of traces, falling
            // back while the coverage alarm rings saved on one and cost on others; a change of arrivals is
            // noticed daily where they come in spells.
            coverage_alarm: false,
            drift_alarm: false,
            api_errors: sight.api_fails,
        });
        let wakes = [
            kept.shadow.next_change(),
            kept.ledger.runs_dry_at(committed.iter().copied()),
            kept.back_off.next_change(place.now),
            place.settings.windows.next_change(place.now),
        ];
        let wake_at = wakes.into_iter().filter(|&at| at > place.now).min();
        let wake_at = wake_at.unwrap_or(Timestamp::NEVER);
        Self { verdict, standing, committed, bindings: Vec::new(), wake_at }
    }

    /// Nodes the pool has at least: as many as the shadow.
    pub(super) const fn floor(&self) -> u32 {
        self.standing.shadow
    }

    /// What may be wanted.
    pub(super) fn bound(&self, want: Want) -> Want {
        let want = if self.verdict.rung == Rung::ShadowReactive {
            Want { wake_at: want.wake_at, ..Want::nothing(IDLE_DEFAULT) }
        } else {
            want
        };
        let may_remove = self.verdict.may_remove();
        Want {
            floor_nodes: want.floor_nodes.max(self.floor()),
            idle_timeout: if may_remove { want.idle_timeout } else { Millis::MAX },
            ..want
        }
    }

    /// Nodes for waiting work, the shadow and the minimum, unless the provider just refused some.
    pub(super) fn open(&mut self, now: Timestamp, wanted: u32, memory: &PoolMemory) -> u32 {
        let is_open = !memory.kept.back_off.blocks(now);
        let bounded = Bounded::new(wanted).only_if(Limit::StockOut, is_open);
        self.bindings.extend(bounded.bindings);
        bounded.nodes
    }

    /// How many of the nodes wanted ahead of demand may be asked for.
    pub(super) fn allow(&mut self, place: &Place<'_>, wanted: u32, memory: &mut PoolMemory) -> u32 {
        if wanted == 0 || !self.verdict.may_speculate() {
            return 0;
        }
        let (settings, kept) = (place.settings, &mut memory.kept);
        let per_new = memory.lead.times().stuck_after();
        let credit = kept.ledger.allowance(self.committed.iter().copied(), per_new);
        let (alive, flying) = (self.standing.alive, self.committed.len() as u32);
        let bounded = Bounded::new(wanted)
            .only_if(Limit::Window, settings.windows.allow(place.now))
            .only_if(Limit::StockOut, !kept.back_off.blocks_speculation(place.now))
            .at_most(Limit::UpStep, kept.steps.up_room(place.now, alive, &settings.steps))
            .at_most(
                Limit::InFlight,
                settings.steps.in_flight_room(flying, settings.pool.max_nodes),
            )
            .at_most(
                Limit::SpeculativeBudget,
                settings.budgets.speculative_room(self.standing.excess()),
            )
            .at_most(Limit::Credit, credit);
        if bounded.bindings.iter().any(|binding| binding.limit == Limit::Credit) {
            kept.ledger.note_bound();
            self.wake_at = self.wake_at.min(place.now + CREDIT_LOOK);
        }
        if !bounded.bindings.is_empty() {
            self.wake_at = self.wake_at.min(kept.steps.next_change(place.now, &settings.steps));
        }
        self.bindings.extend(bounded.bindings);
        bounded.nodes
    }

    /// How many nodes may be asked for within the budget of all pools.
    pub(super) fn within(&mut self, budget: &mut u32, wanted: u32) -> u32 {
        let bounded = Bounded::new(wanted).at_most(Limit::TotalBudget, *budget);
        self.bindings.extend(bounded.bindings);
        *budget -= bounded.nodes;
        bounded.nodes
    }

    /// How many of the nodes that are not wanted may go now: `remove` are left over, `ripe` of the idle nodes
    /// have been there for long enough.
    pub(super) fn pace_down(
        &mut self,
        place: &Place<'_>,
        (remove, ripe): (u32, u32),
        memory: &PoolMemory,
    ) -> u32 {
        let steps = &place.settings.steps;
        let flying = place.seen.observed.requested_nodes + place.seen.observed.warming_nodes;
        let (limit, room) =
            memory.kept.steps.down_room(place.now, self.standing.alive, flying, steps);
        let bounded = Bounded::new(remove).at_most(Limit::MinHold, ripe).at_most(limit, room);
        if !bounded.bindings.is_empty() {
            self.wake_at = self.wake_at.min(memory.kept.steps.next_change(place.now, steps));
        }
        self.bindings.extend(bounded.bindings);
        bounded.nodes
    }

    /// Idle nodes that go because the ledger is used up. Nodes that are stuck cost, but nobody counts on
    /// them: they do not let others go.
    pub(super) fn shed(&self, place: &Place<'_>, memory: &PoolMemory, idle: u32) -> u32 {
        let floor = self.floor().max(place.settings.pool.min_nodes);
        let stuck = place.seen.observed.stuck_nodes;
        let idle = idle.min(self.standing.alive.saturating_sub(stuck).saturating_sub(floor));
        memory.kept.ledger.must_shed(self.committed.iter().copied()).min(idle)
    }

    /// Notes what the look led to: `base` nodes asked for because of waiting work or the shadow,
    /// `speculative` ahead of demand, `removed` gone.
    pub(super) fn conclude(
        self,
        place: &Place<'_>,
        (base, speculative, removed): (u32, u32, u32),
        memory: &mut PoolMemory,
    ) -> Guarded {
        let kept = &mut memory.kept;
        let settings = &place.settings.steps;
        kept.flights.ask(place.now, base, speculative);
        kept.steps.note_up(place.now, base + speculative, speculative, settings);
        kept.steps.note_down(place.now, removed, settings);
        let Standing { alive, shadow, needed } = self.standing;
        let alive = alive + base + speculative - removed.min(alive);
        kept.ledger.advance(place.now, Standing { alive, shadow, needed: needed + base });
        Guarded {
            rung: self.verdict.rung,
            causes: self.verdict.causes,
            shadow_nodes: shadow,
            needed_nodes: needed + base,
            credit_node_ms: kept.ledger.credit(),
            allowed_nodes: speculative,
            bindings: self.bindings,
        }
    }
}

/// Nodes that all pools together may still get.
pub(super) fn total_budget(settings: &Settings, seen: &[Seen]) -> u32 {
    let observed = seen.iter().map(|seen| &seen.observed);
    let alive = observed.fold(0, |sum: u32, o| {
        let seen = o.usable_nodes + o.requested_nodes + o.warming_nodes;
        sum.saturating_add(seen).saturating_add(o.unseen_nodes)
    });
    settings.budgets().total_room(alive)
}

/// Nodes that run something, that waiting work is packed onto, or that are on their way because work
/// waited when they were asked for.
fn needed(view: &PoolView<'_>, flights: &Flights) -> u32 {
    let busy = view.usable_nodes - view.idle_nodes.min(view.usable_nodes);
    let packed = view.needed_nodes().saturating_sub(view.firm_nodes);
    packed.max(busy + flights.firm())
}

/// The longest that each node on its way ahead of demand may still need.
fn committed(
    now: Timestamp,
    nodes: &[NodeSnapshot],
    flights: &Flights,
    lead: &Lead,
) -> Vec<Millis> {
    let speculative = nodes.iter().filter(|node| flights.is_speculative(node.id));
    let left = |node: &NodeSnapshot| {
        let whole = match node.stage {
            NodeStage::Requested => lead.times().stuck_after(),
            NodeStage::Warming | NodeStage::Usable => lead.warm_up_within(),
        };
        (whole - (now - node.since)).max(Millis::ZERO)
    };
    speculative.map(left).collect()
}
