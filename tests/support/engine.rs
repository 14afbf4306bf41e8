//! Random worlds, and a controller that checks every decision of the engine.

use super::{Row, job, setup, trace};
use prewarm::{
    engine::{
        Decision, Kappa, Memory, PoolReport, PoolSettings, Settings, SignalSettings, check, decide,
    },
    guard::limits::{Budgets, Limit, Weekday, Window, Windows},
    model::{
        Action, LeadTime, Pool, ReadValue, Reading, ReplayedDay, Shape, Snapshot, StageTime,
        SupplyLimit, Trace,
    },
    selector::replay,
    time::{Millis, Timestamp},
    world::{Controller, Placement, Setup},
};
use std::mem;

/// Small numbers from a seed (`SplitMix64`, Steele et al. 2014).
#[derive(Clone, Debug)]
pub struct Rng(pub u64);

impl Rng {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// In `from..to`.
    pub fn within(&mut self, from: i64, to: i64) -> i64 {
        from + (self.next() % (to - from).max(1) as u64) as i64
    }

    /// True in `of_100` of 100 cases.
    pub fn chance(&mut self, of_100: u64) -> bool {
        self.next() % 100 < of_100
    }

    pub fn pick<T: Copy>(&mut self, among: &[T]) -> T {
        among[self.next() as usize % among.len()]
    }
}

/// A world, and what its user decided.
#[derive(Clone, Debug)]
pub struct World {
    pub trace: Trace,
    pub setup: Setup,
    pub settings: Settings,
}

pub fn random_world(rng: &mut Rng) -> World {
    let hours = rng.pick(&[2, 4, 8, 24, 48]);
    let end = hours * 3600;
    let pools: Vec<Pool> = (0..rng.within(1, 4)).map(|nth| random_pool(rng, nth, end)).collect();
    let setup = Setup {
        placement: Placement::ALL[rng.within(0, 3) as usize].1,
        pools,
        seed: rng.next(),
        end: Timestamp::from_secs(end),
        ..setup()
    };
    let settings = random_settings(rng, &setup);
    World { trace: trace(&random_rows(rng, end)), setup, settings }
}

fn random_pool(rng: &mut Rng, nth: i64, end: i64) -> Pool {
    let cv = rng.pick(&[0.0, 0.0, 0.25, 1.0]);
    let mut stage = |longest| StageTime { mean: Millis::from_secs(rng.within(0, longest)), cv };
    let lead_time = LeadTime { provisioning: stage(600), warm_up: stage(400) };
    let min_nodes = rng.within(-3, 3).max(0) as u32;
    let max = rng.within(-4, 12);
    let from = rng.within(0, end);
    let limit = SupplyLimit {
        from: Timestamp::from_secs(from),
        until: Timestamp::from_secs(from + rng.within(1, end / 2)),
        nodes: rng.within(0, 4) as u32,
    };
    Pool {
        gpu_model: rng.pick(&["", "A100"]).to_owned(),
        cpu_milli: rng.chance(30).then_some(64_000),
        min_nodes,
        max_nodes: (max >= 0).then(|| min_nodes + max as u32),
        lead_time,
        drain: Millis::from_secs(rng.pick(&[0, 0, 60, 400])),
        failure_rate: rng.pick(&[0.0, 0.0, 0.0, 0.1, 0.5]),
        supply: if rng.chance(25) { vec![limit] } else { Vec::new() },
        ..Pool::new(format!("pool{nth}"), rng.pick(&[1, 2, 4, 8, 8, 8]))
    }
}

fn random_settings(rng: &mut Rng, setup: &Setup) -> Settings {
    let kappa = rng.pick(&[0.5, 1.0, 2.0, 5.0, 20.0, 20.0, 50.0, 100.0, 200.0]);
    let pools = setup.pools.iter().map(|pool| {
        let mut settings = PoolSettings::new(pool.clone(), kappa);
        if rng.chance(30) {
            settings.kappa = Kappa { default: kappa, by_priority: vec![(9, 200.0), (-1, 0.5)] };
        }
        if rng.chance(30) {
            settings.ledger.rho_permille = rng.pick(&[0, 50, 500]);
            settings.ledger.capacity_node_ms = Millis::from_mins(rng.pick(&[0, 10, 60])).0;
        }
        if rng.chance(20) {
            let most = rng.within(0, 5) as u32;
            settings.budgets = Budgets { max_speculative_nodes: Some(most), max_nodes: None };
        }
        if rng.chance(20) {
            let minute = rng.within(0, 1440) as u16;
            let days = vec![Weekday::Thursday, Weekday::Friday];
            let window = Window { days, from_minute: minute, to_minute: (minute + 90) % 1440 };
            let only = if rng.chance(50) { vec![window.clone()] } else { Vec::new() };
            let never = if only.is_empty() { vec![window] } else { Vec::new() };
            settings.windows = Windows { only, never, ..Windows::default() };
        }
        if rng.chance(30) {
            let signal = |name: &&str| SignalSettings {
                gpus_per_unit: rng.pick(&[0.0, 0.5, 1.0, 8.0]),
                lead: rng.chance(30).then(|| Millis::from_mins(rng.within(1, 60))),
                max_gpus: rng.chance(30).then(|| rng.within(0, 100) as u32),
                ..SignalSettings::new(*name)
            };
            settings.signals = ["queue", "users"].iter().map(signal).collect();
        }
        settings
    });
    Settings {
        pools: pools.collect(),
        placement: setup.placement,
        max_nodes: rng.chance(25).then(|| rng.within(0, 12) as u32),
    }
}

const GANGS: [&str; 6] = ["g0", "g1", "g2", "g3", "g4", "g5"];

fn random_rows(rng: &mut Rng, end: i64) -> Vec<Row> {
    let count = rng.pick(&[0, 3, 10, 30, 60, 120]);
    let mut rows = Vec::new();
    while rows.len() < count {
        let submit = rng.within(0, end);
        let of_one_burst = rng.pick(&[1, 1, 1, 2, 5, 20]);
        let kind = rng.within(0, 8);
        for _ in 0..of_one_burst {
            let at = submit + rng.within(0, 60);
            rows.push(random_row(rng, kind, at));
        }
    }
    rows
}

fn random_row(rng: &mut Rng, kind: i64, submit: i64) -> Row {
    let duration = rng.pick(&[1, 30, 300, 1_800, 7_200, 40_000]) + rng.within(0, 60);
    let gpus = rng.pick(&[1, 1, 2, 3, 4, 8, 8, 16]);
    let row = job(submit, duration, gpus);
    let shape = row.shape.clone();
    match kind {
        0 => row.milli(rng.within(1, 1000) as u16),
        1 => row.priority(rng.pick(&[9, -1])),
        2 => row.gang(rng.pick(&GANGS), rng.within(1, 4) as u32),
        3 => Row { shape: Shape { workers: rng.within(1, 5) as u32, ..shape }, ..row },
        4 => Row { shape: Shape { cpu_milli: rng.within(0, 40_000) as u32, ..shape }, ..row },
        5 => row.model(rng.pick(&["A100", "T4"])),
        6 => Row { submit: 0, ..row.preexisting() },
        _ => row,
    }
}

/// The engine, every decision of which is checked.
pub struct Checked {
    pub settings: Settings,
    pub memory: Memory,
    pub faults: Vec<String>,
    pub looks: u64,
    pub created: u64,
    pub removed: u64,
    /// Last decision, for those who wrap.
    pub last: Option<Decision>,
    done: Vec<ReplayedDay>,
    spite: Rng,
    /// Last readings, by pool and signal, each with the instant until which there is no other.
    readings: Vec<Vec<(Reading, Timestamp)>>,
}

impl Checked {
    pub fn new(settings: Settings) -> Self {
        let memory = Memory::new(&settings);
        Self {
            settings,
            memory,
            faults: Vec::new(),
            looks: 0,
            created: 0,
            removed: 0,
            last: None,
            done: Vec::new(),
            spite: Rng(17),
            readings: Vec::new(),
        }
    }

    /// Signals that say anything: nothing, all the GPUs of the world, what cannot be; and sometimes for a while they
    /// are not read at all.
    fn tell_signals(&mut self, now: Timestamp, snapshot: &mut Snapshot) {
        self.readings.resize(self.settings.pools.len(), Vec::new());
        let pools = self.settings.pools.iter().zip(&mut self.readings).zip(&mut snapshot.pools);
        for ((settings, readings), pool) in pools {
            let rng = &mut self.spite;
            for (place, signal) in settings.signals.iter().enumerate() {
                if readings.get(place).is_some_and(|&(_, until)| now < until) {
                    continue;
                }
                let silence = Millis::from_secs(rng.pick(&[30, 30, 30, 60, 90, 300, 900]));
                let value = match rng.next() % 10 {
                    0 => ReadValue::Absent,
                    1 => ReadValue::Absurd,
                    2 => ReadValue::Units(rng.pick(&[f64::NAN, -1.0, 1e300, f64::INFINITY])),
                    3 => ReadValue::Units(1e6),
                    _ => ReadValue::Units(rng.within(0, 60) as f64),
                };
                let reading = Reading { name: signal.name.clone(), at: now, value };
                match readings.get_mut(place) {
                    Some(old) => *old = (reading, now + silence),
                    None => readings.push((reading, now + silence)),
                }
            }
            if !readings.is_empty() {
                pool.signals = readings.iter().map(|(reading, _)| reading.clone()).collect();
            }
        }
    }

    pub fn fault(&mut self, now: Timestamp, what: impl std::fmt::Display) {
        if self.faults.len() < 5 {
            self.faults.push(format!("at {} s: {what}", now.as_secs_f64()));
        }
    }
}

impl Controller for Checked {
    fn decide(&mut self, now: Timestamp, snapshot: &mut Snapshot) -> (Vec<Action>, Timestamp) {
        snapshot.replays = mem::take(&mut self.done);
        self.tell_signals(now, snapshot);
        let decision = decide(now, snapshot, &self.settings, &mut self.memory);
        snapshot.replays.clear();
        for fault in check(now, snapshot, &self.settings, &decision) {
            self.fault(now, fault);
        }
        for (pool, report) in decision.why.iter().enumerate() {
            if let Some(fault) = against_reports(&self.settings.pools[pool], report) {
                self.fault(now, format!("pool {pool}: {fault}"));
            }
            self.created += u64::from(report.create);
            self.removed += report.scale_down.nodes.len() as u64;
        }
        self.looks += 1;
        let due = decision.replays_due.iter();
        let briefs = due
            .filter_map(|&pool| self.memory.brief(pool as usize, &self.settings, &snapshot.shapes));
        self.done = briefs.map(|brief| replay(&brief)).collect();
        let answer = (decision.actions.clone(), decision.wake_at);
        self.last = Some(decision);
        answer
    }
}

/// What `check` does not look at.
fn against_reports(settings: &PoolSettings, report: &PoolReport) -> Option<String> {
    let guarded = &report.guarded;
    // Beyond the budget of all pools, or after a refusal, nothing can be asked for, and the decision says so.
    let limits = [Limit::TotalBudget, Limit::StockOut];
    let is_bound = guarded.bindings.iter().any(|binding| limits.contains(&binding.limit));
    let stuck = report.observed.stuck_nodes;
    let most = settings.pool.max_nodes.map_or(u32::MAX, |max| max.saturating_sub(stuck));
    if report.target_nodes < guarded.shadow_nodes.min(most) && !is_bound {
        let (target, shadow) = (report.target_nodes, guarded.shadow_nodes);
        return Some(format!("{target} nodes wanted where a reactive controller has {shadow}"));
    }
    if report.selected.kappa <= 1.0 && guarded.allowed_nodes > 0 {
        return Some(format!("{} nodes ahead of demand at kappa <= 1", guarded.allowed_nodes));
    }
    let speculative = settings.budgets.max_speculative_nodes.unwrap_or(u32::MAX);
    if guarded.allowed_nodes > speculative {
        return Some(format!("{} nodes ahead of demand, budget {speculative}", report.create));
    }
    None
}
