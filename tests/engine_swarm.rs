//! A thousand random worlds, every decision of the engine in them checked.
//!
//! A fault names its seed: `PREWARM_SEED=17 cargo test --test engine_swarm` runs that world alone, and
//! `PREWARM_WORLDS=20000` as many as are wanted.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]
#![allow(clippy::print_stderr, reason = "figures of the swarm")]

mod support;

use prewarm::{
    model::{Action, Arrival, Finish, Snapshot},
    time::{Millis, Timestamp},
    world::{Controller, run_controlled},
};
use support::engine::{Checked, Rng, World, random_world};

/// Run the world of this seed only.
const SEED: &str = "PREWARM_SEED";
/// Run so many worlds.
const WORLDS: &str = "PREWARM_WORLDS";

fn number(variable: &str) -> Option<u64> {
    #[expect(clippy::disallowed_methods, reason = "a test is told its seed by the environment")]
    let told = std::env::var(variable);
    told.ok().map(|text| text.parse().unwrap())
}

/// Runs `world` for every seed; fails with all seeds that had faults.
fn swarm(name: &str, worlds: u64, mut world: impl FnMut(u64) -> (Vec<String>, [u64; 3])) {
    let seeds =
        number(SEED).map_or_else(|| 0..number(WORLDS).unwrap_or(worlds), |seed| seed..seed + 1);
    let (mut failed, mut sums) = (Vec::new(), [0; 3]);
    for seed in seeds {
        let (faults, counts) = world(seed);
        (0..3).for_each(|place| sums[place] += counts[place]);
        if !faults.is_empty() {
            failed
                .push(format!("{SEED}={seed} cargo test --test engine_swarm {name}: {faults:#?}"));
        }
    }
    let [looks, created, removed] = sums;
    eprintln!("{name}: {looks} decisions, {created} nodes created, {removed} removed");
    let count = failed.len();
    failed.truncate(5);
    assert!(failed.is_empty(), "{count} worlds with faults, the first:\n{}", failed.join("\n"));
}

#[test]
fn no_world_brings_about_a_fault() {
    swarm("no_world_brings_about_a_fault", 1_000, |seed| {
        let World { trace, setup, settings } = random_world(&mut Rng(seed));
        let mut engine = Checked::new(settings);
        run_controlled(&trace, &setup, &mut engine, &|_| true);
        (engine.faults, [engine.looks, engine.created, engine.removed])
    });
}

/// What is wrong with what the controller sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Blindness {
    /// Nothing.
    None,
    /// The picture of the beginning of the stretch, again and again; it grows old.
    Frozen,
    /// Known to be old by so many seconds, though it is not.
    Aged(i64),
    /// The cluster's interface answers with errors.
    ApiFails,
    /// Jobs come and go unnoticed.
    Dropped,
}

/// A controller between which and the world something is wrong for a while, now and then.
struct Blind {
    engine: Checked,
    rng: Rng,
    now: Blindness,
    until: Timestamp,
    /// The last picture, and when it was taken.
    frozen: (Snapshot, Timestamp),
    /// What happened while nothing was seen, by pool.
    held: Vec<(Vec<Arrival>, Vec<Finish>)>,
    /// Nodes for waiting work that were not asked for although it needs them, by pool; `u32::MAX` = any
    /// number, because a pool was refused nodes or may not grow.
    owed: Vec<u32>,
}

impl Blind {
    fn new(engine: Checked, seed: u64) -> Self {
        let pools = engine.settings.pools.len();
        Self {
            engine,
            rng: Rng(seed),
            now: Blindness::None,
            until: Timestamp::ZERO,
            frozen: (Snapshot::default(), Timestamp::ZERO),
            held: vec![Default::default(); pools],
            owed: vec![0; pools],
        }
    }

    fn next_stretch(&mut self, now: Timestamp) {
        if now < self.until {
            return;
        }
        let is_over = self.now != Blindness::None || self.until == Timestamp::ZERO;
        let aged = self.rng.within(0, 2_000);
        let kinds =
            [Blindness::Frozen, Blindness::Aged(aged), Blindness::ApiFails, Blindness::Dropped];
        self.now = if is_over { Blindness::None } else { self.rng.pick(&kinds) };
        self.until = now + Millis::from_secs(self.rng.within(10, 2_400));
    }

    /// What is seen instead of what is there.
    fn distort(&mut self, now: Timestamp, real: &Snapshot) -> Snapshot {
        let mut seen = real.clone();
        match self.now {
            Blindness::None => {
                for (pool, (arrivals, finishes)) in seen.pools.iter_mut().zip(&mut self.held) {
                    pool.arrivals.splice(0..0, arrivals.drain(..));
                    pool.finishes.splice(0..0, finishes.drain(..));
                }
            }
            Blindness::Frozen => {
                for (pool, (arrivals, finishes)) in real.pools.iter().zip(&mut self.held) {
                    arrivals.extend(&pool.arrivals);
                    finishes.extend(&pool.finishes);
                }
                seen = self.frozen.0.clone();
                seen.sight.view_age = now - self.frozen.1;
                for (pool, real) in seen.pools.iter_mut().zip(&real.pools) {
                    (pool.arrivals, pool.finishes) = (Vec::new(), Vec::new());
                    pool.was_refused = real.was_refused;
                }
            }
            Blindness::Aged(secs) => seen.sight.view_age = Millis::from_secs(secs),
            Blindness::ApiFails => seen.sight.api_fails = true,
            Blindness::Dropped => {
                for pool in &mut seen.pools {
                    (pool.arrivals, pool.finishes) = (Vec::new(), Vec::new());
                }
            }
        }
        seen
    }

    fn judge(&mut self, now: Timestamp, seen: &Snapshot, actions: &[Action]) {
        let is_blind = seen.sight.api_fails || seen.sight.view_age > Millis::from_secs(120);
        let removes = actions.iter().any(|action| matches!(action, Action::Remove { .. }));
        if is_blind && removes {
            self.engine.fault(now, "removes while blind");
        }
        let Some(decision) = self.engine.last.take() else { return };
        // A refusal takes back what was asked for, and after it another pool may be asked.
        let is_open = seen.pools.iter().any(|pool| pool.was_refused)
            || decision.why.iter().any(|report| report.firm.unplaced_units > 0);
        for (pool, report) in decision.why.iter().enumerate() {
            let firm = report.firm.nodes;
            if self.now == Blindness::Frozen && !is_open && firm > self.owed[pool] {
                let what = format!("pool {pool}: {firm} nodes again for work that has its nodes");
                self.engine.fault(now, what);
            }
            let missing = firm.saturating_sub(report.create);
            let was_open = self.now == Blindness::Frozen && self.owed[pool] == u32::MAX;
            self.owed[pool] = if is_open || was_open { u32::MAX } else { missing };
        }
    }
}

impl Controller for Blind {
    fn decide(&mut self, now: Timestamp, snapshot: &mut Snapshot) -> (Vec<Action>, Timestamp) {
        self.next_stretch(now);
        let mut seen = self.distort(now, snapshot);
        let (actions, wake_at) = self.engine.decide(now, &mut seen);
        self.judge(now, &seen, &actions);
        if self.now != Blindness::Frozen {
            self.frozen = (seen, now);
        }
        (actions, wake_at.min(self.until))
    }
}

#[test]
fn whoever_is_blind_removes_nothing_and_asks_for_nothing_twice() {
    swarm("whoever_is_blind_removes_nothing_and_asks_for_nothing_twice", 500, |seed| {
        let World { trace, setup, settings } = random_world(&mut Rng(seed));
        let mut blind = Blind::new(Checked::new(settings), seed ^ 1);
        run_controlled(&trace, &setup, &mut blind, &|_| true);
        let engine = blind.engine;
        (engine.faults, [engine.looks, engine.created, engine.removed])
    });
}
