//! The decision engine at work in the simulation kernel.
//!
//! [`EngineRun`] hands the kernel's snapshots to [`decide`], replays days when one is over, writes the
//! decision log and keeps the books of which strategy was followed when.

use super::{
    report::{ActiveStrategy, EngineReport, LedgerReport, PromisedReport},
    signals::Rehearsed,
};
use crate::{
    decision_log::LogWriter,
    engine::{Decision, Memory, PromiseTotals, Settings, decide},
    guard::ledger::Ledger,
    model::{Action, ReplayedDay, Snapshot},
    selector::replay,
    time::Timestamp,
    units::node_hours,
    world::{Controller, Setup},
};
use std::{collections::BTreeMap, io::Write, mem};

/// One run of the engine.
pub struct EngineRun<'a> {
    settings: Settings,
    memory: Memory,
    signals: &'a [Vec<Rehearsed>],
    log: Option<LogWriter<Box<dyn Write + 'a>>>,
    /// Replays done since the last look.
    done: Vec<ReplayedDay>,
    /// By pool: the strategies followed so far.
    active: Vec<Vec<ActiveStrategy>>,
    /// By pool: how often each limit made a difference.
    bindings: Vec<BTreeMap<String, u64>>,
    score_from: Timestamp,
    /// By pool: what had been promised before the scored time.
    before: Vec<PromiseTotals>,
}

impl<'a> EngineRun<'a> {
    /// For the pools of `setup`, where a waiting GPU-hour costs `kappa` GPU-hours, with the `signals` of each
    /// pool. What is written to `log`
    /// cannot fail the run: whoever gives it looks after its errors.
    pub fn new(
        setup: &Setup,
        kappa: f64,
        signals: &'a [Vec<Rehearsed>],
        log: Option<Box<dyn Write + 'a>>,
    ) -> Self {
        let pools = setup.pools.iter().cloned();
        let mut settings = Settings { placement: setup.placement, ..Settings::new(pools, kappa) };
        for (pool, signals) in settings.pools.iter_mut().zip(signals) {
            pool.signals = signals.iter().map(|signal| signal.settings.clone()).collect();
        }
        let memory = Memory::new(&settings);
        let log = log.and_then(|out| LogWriter::start(out, &settings, &memory).ok());
        let pools = settings.pools.len();
        Self {
            settings,
            memory,
            signals,
            log,
            done: Vec::new(),
            active: vec![Vec::new(); pools],
            bindings: vec![BTreeMap::new(); pools],
            score_from: setup.score_from,
            before: vec![PromiseTotals::default(); pools],
        }
    }

    /// What the engine did, by pool.
    pub fn finish(self) -> Vec<EngineReport> {
        let promised: Vec<_> = (0..self.active.len()).map(|pool| self.promised(pool)).collect();
        if let Some(log) = self.log {
            log.finish().ok();
        }
        let books = self.active.into_iter().zip(self.bindings);
        let reports = books.zip(&self.settings.pools).enumerate();
        reports
            .map(|(pool, ((active, limits_bound), settings))| EngineReport {
                pool: settings.pool.name.clone(),
                active,
                limits_bound,
                ledger: self.memory.account(pool).map(ledger_report).unwrap_or_default(),
                promised: promised[pool],
            })
            .collect()
    }

    fn promised(&self, pool: usize) -> Option<PromisedReport> {
        promised_report(&self.memory.promises(pool)?.since(&self.before[pool]))
    }

    fn keep_books(&mut self, now: Timestamp, decision: &Decision) {
        for (pool, report) in decision.why.iter().enumerate() {
            if now <= self.score_from {
                self.before[pool] = self.memory.promises(pool).copied().unwrap_or_default();
            }
            let active = &mut self.active[pool];
            if active.last().is_none_or(|last| last.strategy != report.selected.name) {
                let strategy = report.selected.name.clone();
                active.push(ActiveStrategy { from_hours: now.as_hours(), strategy });
            }
            for binding in &report.guarded.bindings {
                *self.bindings[pool].entry(binding.limit.to_string()).or_default() += 1;
            }
        }
    }
}

impl Controller for EngineRun<'_> {
    fn decide(&mut self, now: Timestamp, snapshot: &mut Snapshot) -> (Vec<Action>, Timestamp) {
        snapshot.replays = mem::take(&mut self.done);
        for (pool, signals) in snapshot.pools.iter_mut().zip(self.signals) {
            pool.signals = signals.iter().map(|signal| signal.reading(now)).collect();
        }
        let decision = decide(now, snapshot, &self.settings, &mut self.memory);
        if let Some(log) = &mut self.log {
            // The sink remembers its first error.
            log.look(now, snapshot, &decision).ok();
        }
        snapshot.replays.clear();
        snapshot.pools.iter_mut().for_each(|pool| pool.signals.clear());
        self.keep_books(now, &decision);
        let due = decision.replays_due.iter();
        let briefs = due
            .filter_map(|&pool| self.memory.brief(pool as usize, &self.settings, &snapshot.shapes));
        self.done = briefs.map(|brief| replay(&brief)).collect();
        (decision.actions, decision.wake_at)
    }
}

fn promised_report(sums: &PromiseTotals) -> Option<PromisedReport> {
    let tally = &sums.tally;
    let forecasts = f64::from(tally.labels);
    Some(PromisedReport {
        forecasts: tally.labels,
        level: sums.levels / forecasts,
        coverage_time: tally.by_time()?,
        coverage_jobs: tally.by_job(),
        coverage_gpu: tally.by_gpu(),
        alarm_time: f64::from(sums.alarmed) / forecasts,
        no_skill_time: f64::from(sums.unskilled) / forecasts,
    })
}

fn ledger_report((ledger, shadow_node_ms): (&Ledger, i128)) -> LedgerReport {
    let totals = ledger.totals();
    LedgerReport {
        earned_node_hours: node_hours(totals.earned - totals.forfeited),
        spent_node_hours: node_hours(totals.spent),
        credit_node_hours: node_hours(ledger.credit()),
        shadow_node_hours: node_hours(shadow_node_ms),
    }
}
