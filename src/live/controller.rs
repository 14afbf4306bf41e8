//! One turn of the controller: look, decide, act, tell. Everything that waits for the network is in
//! [`super::run`]; this keeps what lasts from turn to turn.

use super::{
    actuate::{DecisionId, Orders, PoolOrders},
    clock::Clock,
    gpu_pool::{LastDecision, Mode, ScaleDownBy},
    http::Shown,
    index::{Index, Kind},
    look::{Autoscaler, Finding, Look, PoolLook, PoolNode},
    metrics::{Metrics, PoolFacts},
    past::Past,
    signals::{self, SignalKey, Signals},
    watch::Watches,
};
use crate::{
    decision_log::instant,
    engine::{Decision, Memory, PoolReport, Settings, decide},
    guard::ladder::Rung,
    model::{NodeId, ReplayedDay, Sight},
    selector::{Brief, replay},
    time::{Millis, Timestamp},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

/// What lasts from turn to turn.
pub struct Controller {
    clock: Clock,
    shown: Arc<Shown>,
    watches: Watches,
    /// What is known of the cluster.
    pub index: Index,
    memory: Option<Memory>,
    /// Kept by an earlier process, until the pools are known.
    kept: Option<String>,
    /// Read from Prometheus, until the next turn.
    past: Option<Past>,
    signals: Option<Signals>,
    settings: Option<Settings>,
    /// Number of the last decision.
    number: u64,
    /// Tells decisions of this process from those of others.
    digest: String,
    last_look: Option<Timestamp>,
    last_decisions: BTreeMap<String, LastDecision>,
    /// Writes have failed since.
    writes_fail_since: Option<Timestamp>,
    replays: (UnboundedSender<ReplayedDay>, UnboundedReceiver<ReplayedDay>),
    /// Pools of which a day is being replayed.
    replaying: BTreeSet<u32>,
    /// Pools of which metrics were given.
    pools: BTreeSet<String>,
    /// What was odd at the last look.
    findings: BTreeSet<Finding>,
}

/// What came of one turn.
pub struct Turn {
    /// When.
    pub now: Timestamp,
    /// What was seen.
    pub look: Look,
    /// What was decided.
    pub decision: Decision,
    /// Name of the decision.
    pub id: DecisionId,
    /// By pool: how far it reaches.
    pub modes: Vec<Mode>,
    /// What is wrong with signals.
    pub troubles: BTreeMap<SignalKey, String>,
}

impl Controller {
    /// Nothing is known yet.
    pub fn new(
        clock: Clock,
        shown: Arc<Shown>,
        watches: Watches,
        index: Index,
        digest: String,
    ) -> Self {
        Self {
            clock,
            shown,
            watches,
            index,
            memory: None,
            kept: None,
            past: None,
            signals: None,
            settings: None,
            number: 0,
            digest,
            last_look: None,
            last_decisions: BTreeMap::new(),
            writes_fail_since: None,
            replays: unbounded_channel(),
            replaying: BTreeSet::new(),
            pools: BTreeSet::new(),
            findings: BTreeSet::new(),
        }
    }

    /// How fresh the view is: as old as the longest failure of a watch.
    pub fn sight(&self, now: Timestamp) -> Sight {
        let view_age = self.watches.view_age(now, |kind| kind != Kind::Namespace);
        let api_fails = self.writes_fail_since.is_some();
        Sight { view_age, api_fails }
    }

    /// Starts with what an earlier process kept ([`Memory::keep`]), as far as it fits the pools of the first
    /// turn.
    pub fn remember(&mut self, kept: String) {
        self.kept = Some(kept);
    }

    /// Learns from what happened before the first turn; the next turn does, whichever it is.
    pub fn recall(&mut self, past: Past) {
        self.past = Some(past);
    }

    /// Takes signals of pools from there.
    pub fn listen(&mut self, signals: Signals) {
        self.signals = Some(signals);
    }

    /// Returns when a signal has another value.
    pub async fn signals_changed(&mut self) {
        match &mut self.signals {
            Some(signals) => signals.changed().await,
            None => std::future::pending().await,
        }
    }

    /// The memory, to keep it.
    pub const fn memory(&self) -> Option<&Memory> {
        self.memory.as_ref()
    }

    /// Looks and decides. `ceiling`: no pool's decisions reach further.
    pub fn turn(&mut self, ceiling: Mode) -> Turn {
        let begun = std::time::Instant::now();
        let now = self.clock.now();
        let sight = self.sight(now);
        let past = self.past.take().map(|past| past.numbered(&mut self.index));
        let mut look = self.index.look(now, sight);
        look.snapshot.replays = std::iter::from_fn(|| self.replays.1.try_recv().ok()).collect();
        for done in &look.snapshot.replays {
            self.replaying.remove(&done.pool);
        }
        let troubles = match &mut self.signals {
            Some(signals) => signals.fill(&mut look),
            None => signals::unread(&look),
        };
        let kept = self.kept.take();
        let memory = self.memory.get_or_insert_with(|| start(kept, &look.settings, now));
        if self.settings.as_ref() != Some(&look.settings) {
            memory.follow(&look.settings);
            // Pools may have other numbers now; what is under way is for the old ones.
            look.snapshot.replays.clear();
            self.replaying.clear();
            self.replays = unbounded_channel();
            self.settings = Some(look.settings.clone());
            tracing::info!(pools = look.settings.pools.len(), "settings are new or have changed");
        }
        let journal = self.shown.journal.lock();
        let written = journal.map(|mut journal| {
            if let Some(past) = past {
                let pools = past.tell(memory, &look.settings);
                tracing::info!(pools, of = look.settings.pools.len(), "pools know their past");
                journal.renew();
            }
            journal.before(now, &look.settings, memory)
        });
        report_log(&self.shown.metrics, written);
        let decision = decide(now, &look.snapshot, &look.settings, memory);
        self.number += 1;
        let id = DecisionId { counter: self.number, digest: self.digest.clone() };
        let journal = self.shown.journal.lock();
        let written = journal.map(|mut log| {
            log.note(now, &id.to_string(), &look.snapshot, &look.settings, &decision)
        });
        report_log(&self.shown.metrics, written);
        for &pool in &decision.replays_due {
            if !self.replaying.insert(pool) {
                continue;
            }
            if let Some(brief) = memory.brief(pool as usize, &look.settings, &look.snapshot.shapes)
            {
                start_replay(brief, self.replays.0.clone());
            }
        }
        let modes: Vec<Mode> = look.pools.iter().map(|pool| pool.spec.mode.min(ceiling)).collect();
        self.measure(now, &look, &decision, &modes);
        let status = match look.autoscaler {
            Autoscaler::Running { at, .. } => Some(at),
            Autoscaler::Absent | Autoscaler::Unreadable(_) => None,
        };
        self.shown.metrics.note_surroundings(ceiling, status);
        self.shown.metrics.decide_seconds.observe(begun.elapsed().as_secs_f64());
        let turn = Turn { now, look, decision, id, modes, troubles };
        self.note_decisions(&turn);
        self.last_look = Some(now);
        turn
    }

    fn measure(&mut self, now: Timestamp, look: &Look, decision: &Decision, modes: &[Mode]) {
        let metrics = &self.shown.metrics;
        let outcome = if decision.actions.is_empty() { "nothing" } else { "acted" };
        metrics.decisions.get_or_create(&super::metrics::Outcome { outcome }).inc();
        metrics.findings.set(look.findings.len() as i64);
        let findings: BTreeSet<Finding> = look.findings.iter().cloned().collect();
        for new in findings.difference(&self.findings) {
            let pool = new.pool.and_then(|pool| look.pools.get(pool)).map(|pool| &pool.name);
            tracing::warn!(reason = new.reason, pool, "{}", new.message);
        }
        self.findings = findings;
        let since = self.last_look.map_or(Millis::ZERO, |last| now - last);
        let mut known = BTreeSet::new();
        for ((settings, report), &mode) in look.settings.pools.iter().zip(&decision.why).zip(modes)
        {
            let pool = &settings.pool;
            metrics.note_pool(&PoolFacts { pool, mode, report, since });
            known.insert(pool.name.clone());
        }
        for gone in self.pools.difference(&known) {
            metrics.forget_pool(gone);
        }
        self.pools = known;
    }

    fn note_decisions(&mut self, turn: &Turn) {
        for ((settings, report), mode) in
            turn.look.settings.pools.iter().zip(&turn.decision.why).zip(&turn.modes)
        {
            let is_news = report.create > 0 || !report.scale_down.nodes.is_empty();
            let name = &settings.pool.name;
            if is_news && *mode != Mode::Off || !self.last_decisions.contains_key(name) {
                let reason = outcome_of(turn, name);
                let time = instant(turn.now);
                let last = LastDecision { id: turn.id.to_string(), time, reason };
                // In Shadow the same is decided again and again: what it says first counts.
                let known = self.last_decisions.get(name);
                if known.is_none_or(|known| known.reason != last.reason || *mode == Mode::Active) {
                    self.last_decisions.insert(name.clone(), last);
                }
            }
        }
    }

    /// The last decision about a pool that did something.
    pub fn last_decision(&self, pool: &str) -> Option<&LastDecision> {
        self.last_decisions.get(pool)
    }

    /// Writes went through, or failed for other reasons than a conflict.
    pub fn note_writes(&mut self, now: Timestamp, failed: bool) {
        self.writes_fail_since = failed.then(|| self.writes_fail_since.unwrap_or(now));
    }
}

/// What was kept, else nothing.
fn start(kept: Option<String>, settings: &Settings, now: Timestamp) -> Memory {
    let Some(kept) = kept else { return Memory::new(settings) };
    match Memory::recover(&kept, settings, now) {
        Ok((memory, refused)) => {
            for reason in refused {
                tracing::warn!(%reason, "a pool's memory is refused and starts anew");
            }
            tracing::info!("what was learned before is known again");
            memory
        }
        Err(reason) => {
            tracing::warn!(%reason, "the kept memory is refused: learning starts anew");
            Memory::new(settings)
        }
    }
}

/// First sentence of the explanation.
fn outcome_of(turn: &Turn, pool: &str) -> String {
    let place = turn.look.settings.pools.iter().position(|settings| settings.pool.name == pool);
    let explained = place.and_then(|place| {
        crate::decision_log::explain_decision(turn.now, &turn.decision, &turn.look.settings, place)
    });
    explained.and_then(|explained| explained.sentences.into_iter().next()).unwrap_or_default()
}

fn report_log<E>(metrics: &Metrics, written: Result<std::io::Result<()>, E>) {
    if let Ok(Err(error)) = written {
        metrics.decision_log_errors.inc();
        tracing::warn!(%error, "the decision log was not written");
    }
}

/// Lives the pool's day again in the background; the next looks take the result.
fn start_replay(brief: Brief, done: UnboundedSender<ReplayedDay>) {
    tokio::task::spawn_blocking(move || {
        // Whoever asked has ended if nobody takes it.
        done.send(replay(&brief)).ok();
    });
}

/// New nodes are kept from cluster-autoscaler for so long beyond their lead time.
const HOLD: Millis = Millis::from_mins(30);

/// The decision as orders to carry out.
pub fn orders(turn: &Turn) -> Orders {
    let removes = matches!(turn.look.autoscaler, Autoscaler::Running { .. });
    let order = |(place, (report, pool)): (usize, (&PoolReport, &PoolLook))| PoolOrders {
        create: match turn.look.settings.pools.get(place) {
            Some(settings) if removes && is_lowered_by_autoscaler(pool) => {
                wanted(report, settings.pool.min_nodes)
            }
            _ => report.create,
        },
        remove: report.scale_down.nodes.iter().copied().chain(begun(report, pool)).collect(),
        hold: HOLD.max(report.scale_down.idle_timeout.min(MOST_HOLD)),
        lead_p90: report.observed.lead_p90,
    };
    let pools = turn.decision.why.iter().zip(&turn.look.pools).enumerate().map(order).collect();
    Orders { id: turn.id.clone(), pools }
}

fn is_lowered_by_autoscaler(pool: &PoolLook) -> bool {
    pool.spec.actuation.scale_down == ScaleDownBy::ClusterAutoscaler
}

/// Nodes for waiting work, ahead of demand, or up to the minimum. What is left out are nodes that are ordered
/// only because a reactive controller would still have them: where cluster-autoscaler removes idle nodes, its
/// clock and ours differ by seconds, and each such node would be bought again for nothing.
fn wanted(report: &PoolReport, min_nodes: u32) -> u32 {
    let alive = (report.target_nodes + report.scale_down.nodes.len() as u32) - report.create;
    let ahead = report.guarded.allowed_nodes.min(report.create);
    let needed = report.firm.nodes.saturating_add(ahead).max(min_nodes.saturating_sub(alive));
    needed.min(report.create)
}

/// Nodes of which the removal has begun: cordoned by us and still empty. The engine takes its order for
/// carried out and keeps its pace; here an order takes several looks. It holds until somebody has use for the
/// node or the view is not trusted.
fn begun(report: &PoolReport, pool: &PoolLook) -> Vec<NodeId> {
    let is_wanted =
        report.create > 0 || pool.pending_gpus > 0 || report.guarded.rung != Rung::Normal;
    let is_begun = |node: &&PoolNode| {
        node.is_cordoned_by_us && node.pods == 0 && !report.scale_down.nodes.contains(&node.id)
    };
    let nodes = pool.nodes.iter().filter(|_| !is_wanted).filter(is_begun);
    nodes.map(|node| node.id).collect()
}

/// However long the strategy wants idle nodes kept, a hold is renewed before it grows longer than this.
const MOST_HOLD: Millis = Millis::from_hours(12);
