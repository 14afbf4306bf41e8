//! How long a decision takes, and what the choice of a strategy costs.
//!
//! 1,000 nodes, 5,000 waiting jobs and a memory with three days of history: one pool of all nodes, and
//! ten of 100. Budget: 99 of 100 decisions within 10 ms. Replaying 14 days of a pool of 400 GPUs with all
//! candidates: within 2.5 CPU-seconds. p50, p99 and maximum are printed before criterion's figures; they
//! are of single decisions, each on the memory that the one before left.

#![allow(clippy::print_stdout, reason = "a bench prints figures")]
#![allow(clippy::disallowed_methods, reason = "a bench reads the clock")]
#![allow(clippy::expect_used, reason = "a bench that cannot go on stops")]

use criterion::{Criterion, criterion_group, criterion_main};
use prewarm::{
    engine::{Decision, Memory, Settings, SignalSettings, decide},
    model::{
        Action, Arrival, Finish, Free, NodeId, NodeSnapshot, NodeStage, OwnerId, Pool, ReadValue,
        Reading, ReplayedDay, ShapeId, SignalPast, Snapshot, Trace, Waiting,
    },
    selector::replay,
    sim::{arrivals, scenario},
    time::{Millis, Timestamp},
    world::{Controller, Placement, Setup, run_controlled},
};
use std::{
    hint::black_box,
    sync::LazyLock,
    time::{Duration, Instant},
};

const DEMAND: &str = "
end: 14d
pools: [{name: p0}]
policies: [reactive]
arrivals:
- name: training
  owners: 60
  sizes: {1: 0.94, 2: 0.02, 4: 0.02, 8: 0.018, 16: 0.002}
  duration: {logNormal: {median: 19m, sigma: 2.2, max: 20d}}
  bursts: {perHour: PER_HOUR}
";

fn demand(per_hour: f64) -> Trace {
    let text = DEMAND.replace("PER_HOUR", &per_hour.to_string());
    let scenario = scenario::check("bench.yaml", &text).expect("the demand of the bench is valid");
    arrivals::of_scenario(&scenario)
}

/// Pools that together hold 50 nodes: what does not fit in one spills into the next.
fn setup(days: i64, pools: u32) -> Setup {
    let pool = |nth| Pool { max_nodes: Some(50 / pools), ..Pool::new(format!("p{nth}"), 8) };
    Setup {
        pools: (0..pools).map(pool).collect(),
        placement: Placement::BestFit,
        decision_every: Setup::DECISION_EVERY,
        seed: 1,
        end: Timestamp::ZERO + Millis::from_hours(days * 24),
        score_from: Timestamp::ZERO,
        series_bin: None,
    }
}

/// The engine in the kernel; remembers its last look. Replays only where they are measured.
struct Live {
    done: Vec<ReplayedDay>,
    settings: Settings,
    memory: Memory,
    last: (Snapshot, Timestamp),
    /// CPU time of each replayed day.
    replays: Option<Vec<Duration>>,
}

impl Controller for Live {
    fn decide(&mut self, now: Timestamp, snapshot: &mut Snapshot) -> (Vec<Action>, Timestamp) {
        snapshot.replays = std::mem::take(&mut self.done);
        let decision = decide(now, snapshot, &self.settings, &mut self.memory);
        snapshot.replays.clear();
        if let (Some(times), false) = (&mut self.replays, decision.replays_due.is_empty()) {
            let brief = self.memory.brief(0, &self.settings, &snapshot.shapes);
            let began = cpu_time();
            self.done.extend(brief.map(|brief| replay(&brief)));
            times.push(cpu_time().saturating_sub(began));
        }
        self.last = (snapshot.clone(), now);
        (decision.actions, decision.wake_at)
    }
}

/// `does_replay`: whether days that are over are replayed.
fn live(trace: &Trace, setup: &Setup, does_replay: bool) -> Live {
    let settings = Settings::new(setup.pools.iter().cloned(), 20.0);
    let memory = Memory::new(&settings);
    let replays = does_replay.then(Vec::new);
    let mut live = Live { done: Vec::new(), settings, memory, last: Default::default(), replays };
    run_controlled(trace, setup, &mut live, &|_| true);
    live
}

/// CPU time of this thread, to a few milliseconds, so that other load does not count; wall-clock time
/// where it is not told.
fn cpu_time() -> Duration {
    static START: LazyLock<Instant> = LazyLock::new(Instant::now);
    let told = std::fs::read_to_string("/proc/thread-self/schedstat").ok();
    let nanos = told.and_then(|text| text.split(' ').next()?.parse().ok());
    nanos.map_or_else(|| START.elapsed(), Duration::from_nanos)
}

fn node(id: u32, now: Timestamp) -> NodeSnapshot {
    let stage = match id % 50 {
        0 => NodeStage::Requested,
        1 => NodeStage::Warming,
        _ => NodeStage::Usable,
    };
    let gpus = if stage == NodeStage::Usable { 8 } else { 0 };
    let free = if stage == NodeStage::Usable { [0, 0, 0, 1, 2, 8][id as usize % 6] } else { 0 };
    NodeSnapshot {
        id: NodeId(1_000_000 + id),
        stage,
        since: now - Millis::from_secs(60),
        gpus,
        free: Free { gpus: free, ..Free::default() },
        idle_since: (free == 8).then_some(now - Millis::from_secs(i64::from(id % 100) * 10)),
    }
}

/// A cluster of 1,000 nodes in as many pools as the memory is of.
struct Cluster {
    live: Live,
    snapshot: Snapshot,
    now: Timestamp,
    job: u32,
}

impl Cluster {
    fn new(pools: u32, waiting: u32) -> Self {
        let mut live = live(&demand(51.7), &setup(3, pools), false);
        for settings in &mut live.settings.pools {
            settings.pool.max_nodes = None;
        }
        let (mut snapshot, now) = std::mem::take(&mut live.last);
        let size = 1_000 / pools;
        for (nth, pool) in (0..pools).zip(&mut snapshot.pools) {
            pool.nodes = (nth * size..(nth + 1) * size).map(|id| node(id, now)).collect();
            pool.running_milli = u64::from(size) * 6_000;
            (pool.arrivals, pool.finishes) = (Vec::new(), Vec::new());
        }
        let shapes = snapshot.shapes.len() as u32;
        let unit = |nth: u32| Waiting { jobs: vec![ShapeId(nth % shapes)], units: 1, oldest: now };
        snapshot.waiting = (0..waiting).map(unit).collect();
        Self { live, snapshot, now, job: 1 << 30 }
    }

    /// Ten seconds later three jobs have come in each pool and those before have ended.
    fn step(&mut self) {
        self.now += Millis::from_secs(10);
        let (at, shapes) = (self.now, self.snapshot.shapes.len() as u32);
        for pool in &mut self.snapshot.pools {
            let end = |job: &Arrival| Finish { job: job.job, started: job.at, at };
            pool.finishes = pool.arrivals.iter().map(end).collect();
            let arrival = |job: u32| Arrival {
                job,
                at,
                shape: ShapeId(job % shapes),
                owner: OwnerId(job % 3),
                gpu_milli: 1_000,
                is_running: false,
            };
            pool.arrivals = (self.job..self.job + 3).map(arrival).collect();
            self.job += 3;
        }
        for (pool, settings) in self.snapshot.pools.iter_mut().zip(&self.live.settings.pools) {
            let value = ReadValue::Units(f64::from(self.job % 97));
            let reading =
                |signal: &SignalSettings| Reading { name: signal.name.clone(), at, value };
            pool.signals = settings.signals.iter().map(reading).collect();
        }
    }

    /// The same with eight signals a pool, each with a week of samples, studied as they fall due.
    fn hearing(mut self) -> Self {
        let signals: Vec<SignalSettings> =
            (0..8).map(|nth| SignalSettings::new(format!("s{nth}"))).collect();
        for pool in &mut self.live.settings.pools {
            pool.signals.clone_from(&signals);
        }
        self.live.memory.follow(&self.live.settings);
        let week = 7 * 24 * 60;
        let every = Millis::from_mins(1);
        let from = self.now - every * week;
        let past = |(nth, signal): (i64, &SignalSettings)| {
            let value = |minute: i64| Some(((minute * 7919 * nth) % 211) as f64);
            let values = (0..week).map(value).collect();
            SignalPast { name: signal.name.clone(), from, every, values }
        };
        let pasts: Vec<SignalPast> = (1..).zip(&signals).map(past).collect();
        for pool in &mut self.snapshot.pools {
            pool.signal_pasts.clone_from(&pasts);
        }
        // They are told once.
        self.decide();
        for pool in &mut self.snapshot.pools {
            pool.signal_pasts.clear();
        }
        self
    }

    fn decide(&mut self) -> Decision {
        decide(self.now, &self.snapshot, &self.live.settings, &mut self.live.memory)
    }
}

fn quantiles(cluster: &mut Cluster) -> String {
    let times = (0..500).map(|_| {
        cluster.step();
        let began = Instant::now();
        black_box(cluster.decide());
        began.elapsed()
    });
    let mut times: Vec<Duration> = times.collect();
    times.sort_unstable();
    format!("p50 {:?}, p99 {:?}, max {:?}", times[249], times[494], times[499])
}

fn decisions(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("decide");
    group.sample_size(10);
    for (pools, waiting) in [(1, 0), (1, 5_000), (10, 0), (10, 5_000)] {
        let name = format!("1000 nodes, {pools} pools, {waiting} waiting");
        let mut cluster = Cluster::new(pools, waiting);
        println!("decide/{name}: {}", quantiles(&mut cluster));
        let mut hearing = Cluster::new(pools, waiting).hearing();
        println!("decide/{name}, 8 signals a pool: {}", quantiles(&mut hearing));
        group.bench_function(name, |bench| {
            bench.iter(|| {
                cluster.step();
                cluster.decide()
            });
        });
    }
    group.finish();
}

/// All candidates on each of 14 days, on one thread.
fn selector(_: &mut Criterion) {
    let one = rayon::ThreadPoolBuilder::new().num_threads(1).build();
    let replayed = || live(&demand(51.7), &setup(14, 1), true).replays;
    let times = one.expect("a thread starts").install(replayed).unwrap_or_default();
    let total: Duration = times.iter().sum();
    println!("selector: {} days of 400 GPUs in {total:?} of CPU time", times.len());
}

criterion_group!(benches, decisions, selector);
criterion_main!(benches);
