//! The same jobs live in fast motion and in the simulator: the simulator's figures are those of the controller.
//!
//! Six hours take five minutes, so it runs on request:
//! `cargo test --test e2e -- --ignored --nocapture fast_motion`.

use crate::stage::{Setup, Stage, Told, needs_embedded, until};
use prewarm::{
    fleet::NodeTimes,
    live::gpu_pool::{Actuation, Backend, GpuPoolSpec, Mode, ScaleDownBy},
    model::{GangId, Job, KindId, Pool, Shape, Trace, TraceBuilder},
    sim::adaptive::EngineRun,
    time::{Millis, Timestamp},
    world,
};
use std::time::Duration;

const JOBS: usize = 40;
const HOURS: i64 = 6;
const MOST_NODES: u32 = 20;
/// Each job waits some tens of milliseconds for the API, the fleet's next step and the controller. At 200 times
/// the speed that is 18 s of a mean wait of 72 s; node-hours are within 1 % even then.
const SPEED: f64 = 75.0;

/// One job: submission and length in seconds, GPUs.
type Row = (i64, i64, u32);

/// Arrivals at random instants, a few minutes to an hour long. The generator is that of Knuth's MMIX.
fn rows() -> Vec<Row> {
    let mut state = 20_261_121_u64;
    let mut draw = |below: u64| {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % below
    };
    let mut rows: Vec<Row> = (0..JOBS)
        .map(|_| {
            let submit = 60 + draw(HOURS as u64 * 3600 - 4000) as i64;
            (submit, 300 + draw(3000) as i64, 1 << draw(4))
        })
        .collect();
    rows.sort_unstable();
    rows
}

fn end() -> Millis {
    Millis::from_hours(HOURS)
}

/// Node-hours and mean wait in seconds.
#[derive(Debug)]
struct Figures {
    node_hours: f64,
    mean_wait: f64,
}

fn trace(rows: &[Row]) -> Trace {
    let mut builder = TraceBuilder::new();
    for &(submit, seconds, gpus) in rows {
        let job = Job {
            submit: Timestamp::from_secs(submit),
            duration: Millis::from_secs(seconds),
            shape: builder.shape(&Shape::whole_gpus(gpus)),
            owner: builder.owner(""),
            gang: GangId::NONE,
            kind: KindId::NONE,
        };
        builder.count_row();
        builder.push(job);
    }
    builder.build()
}

fn simulated(rows: &[Row]) -> Figures {
    let trace = trace(rows);
    let pool = Pool { max_nodes: Some(MOST_NODES), ..Pool::new("a100", 8) };
    let setup = world::Setup {
        pools: vec![pool],
        placement: world::Placement::BestFit,
        decision_every: world::Setup::DECISION_EVERY,
        seed: 1,
        end: Timestamp::ZERO + end(),
        score_from: Timestamp::ZERO,
        series_bin: None,
    };
    let mut engine = EngineRun::new(&setup, 20.0, &[], None);
    let outcome = world::run_controlled(&trace, &setup, &mut engine, &|_| true);
    let alive = outcome.nodes.iter().map(|node| {
        (node.gone.min(setup.end) - node.requested.min(setup.end)).as_secs_f64() / 3600.0
    });
    let waits = trace
        .jobs
        .iter()
        .zip(&outcome.starts)
        .map(|(job, start)| (*start - job.submit).as_secs_f64());
    Figures { node_hours: alive.sum(), mean_wait: waits.sum::<f64>() / JOBS as f64 }
}

async fn live(rows: &[Row]) -> Figures {
    let times = NodeTimes {
        register: Millis::from_secs(290),
        provisioning: Millis::from_secs(300),
        warm_up: Millis::from_secs(240),
        half_at_permille: 0,
    };
    let step = Duration::from_millis(10);
    let stage = Stage::start(Setup { times, speed: SPEED, step, ..Setup::default() }).await;
    stage.deployment("a100", (0, MOST_NODES)).await;
    let actuation = Actuation { backend: Backend::Replicas, scale_down: ScaleDownBy::Prewarm };
    let spec = GpuPoolSpec { mode: Mode::Active, actuation, ..GpuPoolSpec::defaults() };
    stage.pool_with("a100", spec).await;
    let controller = stage.controller(Told::default());
    until("the pool is known", 10, || async { stage.status("a100").await.is_some() }).await;
    let begin = stage.clock.now();
    for (number, &(submit, seconds, gpus)) in rows.iter().enumerate() {
        let at = begin + Millis::from_secs(submit);
        stage.clock.sleep(at - stage.clock.now()).await;
        stage.pod(&format!("job-{number}"), gpus, Some(seconds as f64)).await;
    }
    stage.clock.sleep(begin + end() - stage.clock.now()).await;
    let close = begin + end();
    let figures = stage.fleet.with_state(|state| Figures {
        node_hours: state
            .lives
            .values()
            .map(|&(from, until)| (until.unwrap_or(close).min(close) - from).as_secs_f64() / 3600.0)
            .sum(),
        mean_wait: state.waits.values().map(|wait| wait.as_secs_f64()).sum::<f64>() / JOBS as f64,
    });
    let started = stage.fleet.with_state(|state| state.waits.len());
    assert_eq!(started, Some(JOBS), "every job has started");
    controller.stop().await;
    stage.end().await;
    figures.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes five minutes; see the module"]
async fn fast_motion_and_simulator_agree_on_node_hours_and_waiting() {
    if !needs_embedded("fast motion") {
        return;
    }
    let rows = rows();
    let (live, simulated) = (live(&rows).await, simulated(&rows));
    println!("live:      {live:?}\nsimulator: {simulated:?}");
    let off = |a: f64, b: f64| (a / b - 1.0).abs();
    let (hours, wait) =
        (off(live.node_hours, simulated.node_hours), off(live.mean_wait, simulated.mean_wait));
    println!("off by {:.1} % of node-hours, {:.1} % of the mean wait", hours * 100.0, wait * 100.0);
    assert!(hours <= 0.03, "node-hours");
    assert!(wait <= 0.10, "mean wait");
}
