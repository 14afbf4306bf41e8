//! Builders shared by the test files: only the interesting field stands at the call site.
#![allow(dead_code, unreachable_pub, reason = "each test file uses a part of it")]
#![allow(clippy::print_stderr, reason = "a skipped test says so")]

pub mod engine;

use prewarm::{
    model::{GangId, Job, KindId, Pool, Shape, Trace, TraceBuilder},
    strategy::{PoolView, Strategy, Want},
    time::{Millis, Timestamp},
    world::{self, Outcome, Placement, Setup},
};
use std::path::PathBuf;

/// A job to come.
#[derive(Clone, Debug)]
pub struct Row {
    pub submit: i64,
    pub duration: i64,
    pub shape: Shape,
    pub gang: Option<(&'static str, u32)>,
    pub kind: &'static str,
}

/// A job of whole GPUs; seconds.
pub fn job(submit: i64, duration: i64, gpus: u32) -> Row {
    Row { submit, duration, shape: Shape::whole_gpus(gpus), gang: None, kind: "" }
}

impl Row {
    pub fn milli(mut self, gpu_milli: u16) -> Self {
        self.shape.gpu_milli = gpu_milli;
        self
    }

    pub fn priority(mut self, priority: i32) -> Self {
        self.shape.priority = priority;
        self
    }

    pub fn gang(mut self, name: &'static str, min_members: u32) -> Self {
        self.gang = Some((name, min_members));
        self
    }

    pub fn model(mut self, model: &str) -> Self {
        self.shape.gpu_models = vec![model.to_owned()];
        self
    }

    pub fn preexisting(mut self) -> Self {
        self.kind = "preexisting";
        self
    }
}

pub fn trace(rows: &[Row]) -> Trace {
    let mut builder = TraceBuilder::new();
    for row in rows {
        let job = Job {
            submit: Timestamp::from_secs(row.submit),
            duration: Millis::from_secs(row.duration),
            shape: builder.shape(&row.shape),
            owner: builder.owner(""),
            gang: row.gang.map_or(GangId::NONE, |(name, least)| builder.gang(name, least)),
            kind: if row.kind.is_empty() { KindId::NONE } else { builder.kind(row.kind) },
        };
        builder.count_row();
        builder.push(job);
    }
    builder.build()
}

/// One pool of 8 GPUs a node, lead 300 s + 240 s, scored from second 0, ten hours.
pub fn setup() -> Setup {
    Setup {
        pools: vec![Pool::new("default", 8)],
        placement: Placement::BestFit,
        decision_every: Setup::DECISION_EVERY,
        seed: 1,
        end: Timestamp::from_secs(36_000),
        score_from: Timestamp::ZERO,
        series_bin: None,
    }
}

/// Reactive with a floor, a spare and an idle time-out that never change.
#[derive(Clone, Copy, Debug)]
pub struct Fixed(pub Want);

impl Strategy for Fixed {
    fn want(&mut self, _: &PoolView<'_>) -> Want {
        self.0
    }
}

pub fn reactive() -> Fixed {
    Fixed(Want::nothing(Millis::from_mins(10)))
}

/// Runs the same strategy on every pool.
pub fn run(trace: &Trace, setup: &Setup, strategy: Fixed) -> Outcome {
    let mut strategies: Vec<Box<dyn Strategy>> =
        setup.pools.iter().map(|_| Box::new(strategy) as Box<dyn Strategy>).collect();
    world::run(trace, setup, &mut strategies, &|_| true)
}

/// The folder of recorded traces, if it is there.
pub fn traces() -> Option<PathBuf> {
    let folder = std::env::var_os("PREWARM_TRACES").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/traces"),
        PathBuf::from,
    );
    if folder.is_dir() {
        return Some(folder);
    }
    eprintln!("skipped: no recorded traces at {} (set PREWARM_TRACES)", folder.display());
    None
}
