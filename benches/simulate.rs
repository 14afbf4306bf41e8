//! How fast the kernel is. Throughput is in events: job starts, job ends, node transitions.
//!
//! Demand is drawn, so that the figures can be had anywhere: 52 days of bursts at Philly's rate and
//! sizes, about 64,000 jobs. Budget: at least 1 M events per second and core for `reactive`, the whole
//! table of policies in under 10 s (`table`).

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use prewarm::{
    guard::shadow::{Shadow, ShadowWorld},
    model::{Pool, Trace},
    sim::{
        arrivals, bounds,
        compare::{Comparison, compare},
        policy::PolicySpec,
        scenario,
    },
    strategy::{Arrival, Finish, PoolView, Reactive, Strategy, Want},
    time::{Millis, Timestamp},
    world::{self, Outcome, Placement, Setup},
};
use std::{
    hint::black_box,
    sync::{Arc, Mutex},
};

const DEMAND: &str = "
end: 52d
pools: [{name: default}]
policies: [reactive]
arrivals:
- name: training
  owners: 60
  sizes: {1: 0.94, 2: 0.02, 4: 0.02, 8: 0.018, 16: 0.002}
  duration: {logNormal: {median: 19m, sigma: 2.2, max: 20d}}
  bursts: {perHour: 51.7}
";

fn demand(text: &str) -> Trace {
    let scenario = scenario::check("bench.yaml", text).expect("the demand of the bench is valid");
    arrivals::of_scenario(&scenario)
}

fn setup() -> Setup {
    Setup {
        pools: vec![Pool::new("default", 8)],
        placement: Placement::BestFit,
        decision_every: Setup::DECISION_EVERY,
        seed: 1,
        end: Timestamp::ZERO + Millis::from_hours(52 * 24),
        score_from: Timestamp::ZERO,
        series_bin: None,
    }
}

fn run(trace: &Trace, setup: &Setup, policy: &str) -> Outcome {
    let spec: PolicySpec = policy.parse().expect("the bench names known policies");
    let mut strategies: Vec<Box<dyn Strategy>> = spec.build().into_iter().collect();
    world::run(trace, setup, &mut strategies, &|_| true)
}

fn kernel(criterion: &mut Criterion) {
    let trace = demand(DEMAND);
    let mut group = criterion.benchmark_group("world");
    group.sample_size(20);
    for policy in ["reactive", "cluster-autoscaler", "watermark:0.2", "hourly-profile", "dsp"] {
        group.throughput(Throughput::Elements(run(&trace, &setup(), policy).events));
        group.bench_function(policy, |bench| bench.iter(|| run(&trace, &setup(), policy)));
    }
    for (name, placement) in Placement::ALL {
        let setup = Setup { placement, ..setup() };
        group.throughput(Throughput::Elements(run(&trace, &setup, "reactive").events));
        group.bench_function(format!("placement/{name}"), |bench| {
            bench.iter(|| run(&trace, &setup, "reactive"));
        });
    }
    let shared = demand(&DEMAND.replace("  bursts:", "  gpuMilli: 300\n  bursts:"));
    group.throughput(Throughput::Elements(run(&shared, &setup(), "reactive").events));
    group.bench_function("fractions", |bench| bench.iter(|| run(&shared, &setup(), "reactive")));
    let full = Setup { pools: vec![Pool { max_nodes: Some(25), ..Pool::new("p", 8) }], ..setup() };
    group.throughput(Throughput::Elements(run(&trace, &full, "reactive").events));
    group.bench_function("backlog", |bench| bench.iter(|| run(&trace, &full, "reactive")));
    group.finish();
}

fn references(criterion: &mut Criterion) {
    let trace = demand(DEMAND);
    let mut group = criterion.benchmark_group("references");
    group.sample_size(20);
    group.bench_function("lower bound", |bench| {
        bench.iter(|| bounds::node_hours_lower(black_box(&trace), &setup()));
    });
    group.finish();
}

fn table(criterion: &mut Criterion) {
    let trace = demand(DEMAND);
    let (setup, policies) = (setup(), PolicySpec::defaults());
    let comparison = Comparison {
        name: "bench",
        trace: &trace,
        setup: &setup,
        policies: &policies,
        decisions: None,
        signals: &[],
        past: None,
    };
    let mut group = criterion.benchmark_group("table");
    group.sample_size(10);
    group.bench_function("all policies", |bench| bench.iter(|| compare(&comparison, &())));
    group.finish();
}

/// What a controller is told at one look.
type Look = (Timestamp, Vec<Arrival>, Vec<Finish>);

/// A pool that keeps nodes longer than the shadow, so that jobs start earlier than there.
struct Spy(Reactive, Arc<Mutex<Vec<Look>>>);

impl Strategy for Spy {
    fn want(&mut self, view: &PoolView<'_>) -> Want {
        let look = (view.now, view.arrivals.to_vec(), view.finishes.to_vec());
        self.1.lock().expect("one thread").push(look);
        self.0.want(view)
    }
}

fn looks(trace: &Trace) -> Vec<Look> {
    let looks = Arc::new(Mutex::new(Vec::new()));
    let spy = Spy(Reactive::new(Millis::from_hours(2)), Arc::clone(&looks));
    world::run(trace, &setup(), &mut [Box::new(spy)], &|_| true);
    let looks = looks.lock().expect("one thread");
    looks.clone()
}

fn follow(looks: &[Look], world: &ShadowWorld<'_>) -> Shadow {
    let mut shadow = Shadow::new(Timestamp::ZERO);
    for (now, arrivals, finishes) in looks {
        shadow.advance(*now, arrivals, finishes, world);
    }
    shadow
}

/// Events here: arrivals and ends of jobs. Budget: 200 k events per second at 100 nodes.
fn shadow(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("shadow");
    group.sample_size(10);
    let busy = DEMAND.replace("51.7", "190");
    let shared = DEMAND.replace("  bursts:", "  gpuMilli: 300\n  bursts:");
    for (name, text) in [("philly", DEMAND), ("100 nodes", &busy), ("fractions", &shared)] {
        let trace = demand(text);
        let (looks, pool) = (looks(&trace), Pool::new("default", 8));
        let world = ShadowWorld::new(&pool, &trace.shapes);
        let events = looks.iter().map(|(_, arrivals, finishes)| arrivals.len() + finishes.len());
        group.throughput(Throughput::Elements(events.sum::<usize>() as u64));
        group.bench_function(name, |bench| bench.iter(|| follow(&looks, &world)));
    }
    group.finish();
}

criterion_group!(benches, kernel, shadow, references, table);
criterion_main!(benches);
