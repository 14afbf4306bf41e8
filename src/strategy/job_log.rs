//! The jobs of a pool's last days, as a trace that can be replayed.

use super::PoolView;
use crate::{
    model::{GangId, Job, KindId, Shape, ShapeId, Trace, TraceBuilder},
    time::{Millis, Timestamp},
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Most jobs kept; more than the busiest pool seen has in two days, by far.
const MOST: usize = 1 << 18;

/// What is known of one job.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Logged {
    submit: Timestamp,
    shape: ShapeId,
    owner: u32,
    /// Start and end, once it has ended.
    ran: Option<(Timestamp, Timestamp)>,
}

/// Jobs by id; those that ended before the horizon are forgotten.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct JobLog {
    jobs: BTreeMap<u32, Logged>,
}

impl JobLog {
    pub(crate) fn note(&mut self, view: &PoolView<'_>) {
        for arrival in view.arrivals {
            let logged = Logged {
                submit: arrival.at,
                shape: arrival.shape,
                owner: arrival.owner.0,
                ran: None,
            };
            self.jobs.insert(arrival.job, logged);
        }
        for finish in view.finishes {
            if let Some(job) = self.jobs.get_mut(&finish.job) {
                job.ran = Some((finish.started, finish.at));
            }
        }
    }

    /// Forgets what ended before `horizon`, and the oldest jobs if there are too many.
    pub(crate) fn forget(&mut self, horizon: Timestamp) {
        self.jobs.retain(|_, job| job.ran.is_none_or(|(_, end)| end >= horizon));
        while self.jobs.len() > MOST {
            self.jobs.pop_first();
        }
    }

    /// What happened from `from` until `until`, with `from` as second 0. Jobs that were there at `from`
    /// run from the start; jobs that have not ended run past the end.
    pub(crate) fn replay(&self, from: Timestamp, until: Timestamp, shapes: &[Shape]) -> Trace {
        let open_end = until + Millis::from_hours(24);
        let mut builder = TraceBuilder::new();
        let owners: BTreeMap<u32, _> = self
            .jobs
            .values()
            .map(|job| (job.owner, builder.owner(&job.owner.to_string())))
            .collect();
        for job in self.jobs.values().filter(|job| job.submit < until) {
            let (start, end) = job.ran.unwrap_or((job.submit, open_end));
            let is_old = job.submit < from;
            let duration = end - if is_old { from.max(start) } else { start };
            if duration <= Millis::ZERO || end <= from {
                continue;
            }
            let Some(shape) = shapes.get(job.shape.0 as usize) else { continue };
            let shape = builder.shape(shape);
            builder.push(Job {
                submit: Timestamp::ZERO + (job.submit.max(from) - from),
                duration,
                shape,
                owner: owners[&job.owner],
                gang: GangId::NONE,
                kind: if is_old { KindId::PREEXISTING } else { KindId::NONE },
            });
        }
        builder.build()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        model::OwnerId,
        strategy::{Arrival, Finish, want::test_view},
    };

    fn secs(secs: i64) -> Timestamp {
        Timestamp::from_secs(secs)
    }

    fn log() -> JobLog {
        let arrival = |job, at| Arrival {
            job,
            at: secs(at),
            shape: ShapeId(0),
            owner: OwnerId(job),
            gpu_milli: 8000,
            is_running: false,
        };
        let arrivals = [arrival(0, 0), arrival(1, 100), arrival(2, 300), arrival(3, 400)];
        let finish = |job, started, at| Finish { job, started: secs(started), at: secs(at) };
        let finishes = [finish(0, 0, 150), finish(1, 110, 250), finish(2, 350, 380)];
        let mut log = JobLog::default();
        log.note(&PoolView { arrivals: &arrivals, finishes: &finishes, ..test_view() });
        log
    }

    #[test]
    fn a_window_is_replayed_with_what_ran_at_its_start() {
        let trace = log().replay(secs(200), secs(500), &[Shape::whole_gpus(8)]);
        let jobs: Vec<_> =
            trace.jobs.iter().map(|job| (job.submit, job.duration, job.is_preexisting())).collect();
        let past_the_end = secs(500) + Millis::from_hours(24) - secs(400);
        assert_eq!(
            jobs,
            [
                (secs(0), Millis::from_secs(50), true),
                (secs(100), Millis::from_secs(30), false),
                (secs(200), past_the_end, false),
            ]
        );
    }

    #[test]
    fn what_ended_before_the_horizon_is_forgotten() {
        let mut log = log();
        log.forget(secs(260));
        assert_eq!(log.jobs.keys().copied().collect::<Vec<_>>(), [2, 3]);
    }
}
