//! The budget of speculation against an adversary, and nodes on their way against being bought twice,
//! both in the real kernel.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]
#![allow(clippy::print_stderr, reason = "figures of the test")]

mod support;

use prewarm::{
    engine::{Settings, SignalSettings},
    model::{Action, NodeStage, Pool, Snapshot},
    sim::{arrivals, scenario},
    time::{Millis, Timestamp},
    world::{Controller, Setup, run_controlled},
};
use support::engine::Checked;
use support::{Row, job, reactive, run, setup, trace};

/// Integrals of what was there, from look to look, in node-milliseconds.
struct Books {
    engine: Checked,
    now: Timestamp,
    /// Since the last look: alive, the larger of shadow and needed, shadow.
    standing: [i128; 3],
    sums: [i128; 3],
    /// The most by which the sums exceeded the bound.
    worst: i128,
    /// Whether at the last look a node was idle or on its way.
    is_spare_up: bool,
}

impl Books {
    fn new(settings: Settings) -> Self {
        Self {
            engine: Checked::new(settings),
            now: Timestamp::ZERO,
            standing: [0; 3],
            sums: [0; 3],
            worst: i128::MIN,
            is_spare_up: false,
        }
    }
}

impl Controller for Books {
    fn decide(&mut self, now: Timestamp, snapshot: &mut Snapshot) -> (Vec<Action>, Timestamp) {
        let span = i128::from((now - self.now).0);
        (0..3).for_each(|place| self.sums[place] += self.standing[place] * span);
        let ledger = self.engine.settings.pools[0].ledger;
        let [alive, firm, shadow] = self.sums;
        let earned = i128::from(ledger.rho_permille) * shadow / 1000;
        let bound = firm + earned + i128::from(ledger.capacity_node_ms);
        self.worst = self.worst.max(alive - bound);
        let answer = self.engine.decide(now, snapshot);
        let report = &self.engine.last.as_ref().unwrap().why[0];
        let alive = report.target_nodes + report.observed.stuck_nodes;
        let (shadow, needed) = (report.guarded.shadow_nodes, report.guarded.needed_nodes);
        self.standing = [alive, shadow.max(needed), shadow].map(i128::from);
        let spare = |node: &&prewarm::model::NodeSnapshot| {
            node.idle_since.is_some() || node.stage != NodeStage::Usable
        };
        let spare = snapshot.pools[0].nodes.iter().filter(spare).count();
        let removed = report.scale_down.nodes.len();
        self.is_spare_up = spare + report.create as usize > removed;
        self.now = now;
        answer
    }
}

/// Jobs that come whenever nothing is spare, and never while something is: each step the world is run
/// anew up to then, so the adversary sees all that happened and nothing of what will.
fn spite(settings: &Settings, setup: &Setup, jobs: usize, hours: i64) -> (Vec<Row>, Books) {
    let mut rows: Vec<Row> = Vec::new();
    let lived = |rows: &[Row], end: i64| {
        let mut books = Books::new(settings.clone());
        let setup = Setup { end: Timestamp::from_secs(end), ..setup.clone() };
        run_controlled(&trace(rows), &setup, &mut books, &|_| true);
        books
    };
    for step in 1..hours * 10 {
        let now = step * 360;
        if !lived(&rows, now).is_spare_up {
            rows.extend((0..jobs).map(|_| job(now, 90, 8)));
        }
    }
    let books = lived(&rows, hours * 3600);
    (rows, books)
}

#[test]
fn no_adversary_makes_speculation_cost_more_than_its_budget() {
    for (kappa, jobs) in [(20.0, 1), (200.0, 2), (200.0, 6)] {
        for (rho_permille, capacity) in [(150, 8), (50, 1), (0, 0)] {
            let setup = setup();
            let mut settings = Settings::new(setup.pools.clone(), kappa);
            settings.pools[0].ledger.rho_permille = rho_permille;
            settings.pools[0].ledger.capacity_node_ms = Millis::from_hours(capacity).0;
            let (rows, books) = spite(&settings, &setup, jobs, 12);
            assert!(books.engine.faults.is_empty(), "{:?}", books.engine.faults);
            let [alive, firm, shadow] = books.sums.map(|sum| sum as f64 / 3.6e6);
            eprintln!(
                "kappa {kappa}, {jobs} at once, rho {rho_permille}, capacity {capacity} node-h: {} jobs; \
                 alive {alive:.1} node-h, shadow {shadow:.1} ({:+.1} %), max(shadow, needed) {firm:.1}, \
                 below the bound by {:.2}",
                rows.len(),
                100.0 * (alive / shadow - 1.0),
                -(books.worst as f64) / 3.6e6,
            );
            assert!(books.worst <= 0, "above the bound by {} node-ms", books.worst);
            assert!(!rows.is_empty());
        }
    }
}

/// Spiteful signals ask for all that can be had. Looks come when they are asked for and not at the next step of ten
/// seconds: until a late look, each node too many is paid for.
#[test]
fn no_signal_makes_speculation_cost_more_than_its_budget() {
    let setup = Setup { decision_every: Millis::ZERO, ..setup() };
    let mut settings = Settings::new(setup.pools.clone(), 200.0);
    settings.pools[0].signals = ["queue", "users"].map(SignalSettings::new).into();
    let (_, books) = spite(&settings, &setup, 2, 12);
    assert!(books.engine.faults.is_empty(), "{:?}", books.engine.faults);
    assert!(books.worst <= 0, "above the bound by {} node-ms", books.worst);
}

/// Nodes created for waiting work that nodes on their way cover already: none, at any price of waiting.
#[test]
fn the_driver_gap_buys_no_node_twice() {
    let text = include_str!("../simulations/driver-gap.yaml");
    let scenario = scenario::check("driver-gap.yaml", text).unwrap();
    let demand = arrivals::of_scenario(&scenario);
    let pools = vec![Pool { name: "a100".into(), ..Pool::new("a100", 8) }];
    let setup = Setup { pools, end: Timestamp(scenario.end.0), ..setup() };
    let by_reactive = run(&demand, &setup, reactive()).nodes.len() as u64;
    for kappa in [0.5, 1.0, 5.0, 20.0, 100.0, 200.0] {
        struct Count(Checked, u64, u64);
        impl Controller for Count {
            fn decide(&mut self, now: Timestamp, seen: &mut Snapshot) -> (Vec<Action>, Timestamp) {
                let answer = self.0.decide(now, seen);
                let report = &self.0.last.as_ref().unwrap().why[0];
                let waiting: u32 = seen.waiting.iter().map(|waiting| waiting.units).sum();
                let observed = &report.observed;
                let coming = observed.requested_nodes + observed.warming_nodes;
                let covered = coming + observed.idle_nodes;
                let firm = report.create - report.guarded.allowed_nodes;
                let needed = waiting.saturating_sub(covered);
                let by_shadow = (report.guarded.shadow_nodes + firm)
                    .saturating_sub(observed.usable_nodes + coming + firm);
                self.1 += u64::from(firm.saturating_sub(needed.max(by_shadow)));
                self.2 += u64::from(report.guarded.allowed_nodes);
                answer
            }
        }
        let mut count = Count(Checked::new(Settings::new(setup.pools.clone(), kappa)), 0, 0);
        let outcome = run_controlled(&demand, &setup, &mut count, &|_| true);
        let (starts, ahead) = (outcome.nodes.len() as u64, count.2);
        eprintln!(
            "kappa {kappa}: {starts} starts, {ahead} ahead of demand; reactive {by_reactive}"
        );
        assert_eq!(count.1, 0, "kappa {kappa}: bought twice");
        assert!(starts <= by_reactive + ahead, "kappa {kappa}: {starts} starts");
        if kappa <= 1.0 {
            assert_eq!(starts, by_reactive);
        }
    }
}
