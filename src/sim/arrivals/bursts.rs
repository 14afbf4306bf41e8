//! Owners who submit the same job again and again: hyper-parameter sweeps, retries, array jobs.
//!
//! On real training clusters this, and not the hour of the day, is what demand looks like: on Philly
//! 71 % of the jobs come within 60 s of another of the same owner and size. A burst has one owner and
//! one shape; its jobs are exponential gaps apart. [`Bursts`] says how lengths are drawn.

use super::{
    Draft, Out,
    draw::{Picker, Purpose, exponential, geometric, unit},
    poisson::instants,
};
use crate::{
    config::scenario::Bursts,
    model::{GangId, KindId},
    time::{Millis, Timestamp},
};
use rand_chacha::ChaCha8Rng;

pub(super) fn draw(bursts: &Bursts, out: &mut Out<'_>) {
    let run = out.run;
    let mut pick = Picker::new(&bursts.template, run.streams, run.end);
    let mut how_many = run.streams.of(Purpose::HowMany);
    // Gaps have a stream of their own: they must not move the bursts that follow.
    let mut gaps = run.streams.of(Purpose::Gaps);
    let (single_share, mean_jobs) = (bursts.single_share(), bursts.mean_jobs());
    for (nth, start) in instants(bursts.per_hour / mean_jobs, run, |_| 1.0).enumerate() {
        let is_single = unit(&mut how_many) < single_share;
        let beyond_two = geometric(&mut how_many, bursts.mean_length - 2.0);
        let jobs = if is_single { 1 } else { 2 + beyond_two };
        let (owner, shape, mut duration) = (pick.owner(), pick.shape(), pick.run_time());
        let submits = spaced(start, jobs, bursts.gap, &mut gaps);
        let gang = if bursts.gang { out.gang_of(nth, &submits) } else { GangId::NONE };
        for (job, &submit) in submits.iter().enumerate() {
            if job > 0 && !bursts.same_duration {
                duration = pick.run_time();
            }
            out.push(&Draft { submit, duration, owner, shape, gang, kind: KindId::NONE });
        }
    }
}

/// So many instants with exponential gaps, the first at `start`.
fn spaced(start: Timestamp, jobs: u32, gap: Millis, gaps: &mut ChaCha8Rng) -> Vec<Timestamp> {
    let mut at_ms = start.0 as f64;
    let mut next = |job| {
        if job > 0 {
            at_ms += exponential(gaps, gap.0 as f64);
        }
        Timestamp(at_ms as i64)
    };
    (0..jobs).map(&mut next).collect()
}
