//! How long did a job run? The same answer for all formats that give a start and an end.
//!
//! A run without an end was either still going when the recording stopped (then it lasts to the
//! latest time seen in the file, counted as `end_censored`) or its end was lost although the job is
//! known to be over (then nobody knows how long it ran, and it is skipped).

use super::clock::Moment;
use crate::model::{Job, SkipReason, TraceBuilder};
use crate::time::{Millis, Timestamp};

/// The key under which runs cut off by the end of the recording are counted.
pub(super) const END_CENSORED: &str = "end_censored";

/// What is known of a run time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RunTime {
    /// This long; zero and less are counted as such.
    Known(Millis),
    /// `before` already, and from `since` to the end of the recording.
    Open {
        /// Start of the run that has no end.
        since: Timestamp,
        /// Time of earlier runs.
        before: Millis,
    },
    /// It never ran, or its end was lost.
    Unknown,
}

/// When the recording ended, and the jobs that wait for that answer.
pub(super) struct Recording {
    latest: Timestamp,
    open: Vec<(Timestamp, Job)>,
}

impl RunTime {
    /// From `start` to `end`. `is_over` tells what a missing end means.
    pub(super) fn between(start: Option<Moment>, end: Option<Moment>, is_over: bool) -> Self {
        let Some(start) = start.map(Moment::at) else { return Self::Unknown };
        match end {
            Some(end) => Self::Known(end.not_before(start) - start),
            None if is_over => Self::Unknown,
            None => Self::Open { since: start, before: Millis::ZERO },
        }
    }
}

impl Recording {
    /// Nothing seen yet.
    pub(super) const fn new() -> Self {
        Self { latest: Timestamp(i64::MIN), open: Vec::new() }
    }

    /// A time stands in the file.
    pub(super) fn saw(&mut self, times: &[Option<Moment>]) {
        for time in times.iter().flatten() {
            self.latest = self.latest.max(time.at());
        }
    }

    /// Takes or skips a job whose submission and run time are known so far; `job.submit` and
    /// `job.duration` are filled in here.
    pub(super) fn take(
        &mut self,
        submit: Option<Moment>,
        run_time: RunTime,
        job: Job,
        sink: &mut TraceBuilder,
    ) {
        if let Some(job) = self.settle(submit, run_time, job, sink) {
            sink.push(job);
        }
    }

    /// The same, but gives the job back if it is complete.
    pub(super) fn settle(
        &mut self,
        submit: Option<Moment>,
        run_time: RunTime,
        job: Job,
        sink: &mut TraceBuilder,
    ) -> Option<Job> {
        let Some(submit) = submit.map(Moment::at) else {
            sink.skip(SkipReason::NoSubmitTime);
            return None;
        };
        match run_time {
            RunTime::Known(Millis::ZERO) => sink.skip(SkipReason::ZeroDuration),
            RunTime::Known(span) if span < Millis::ZERO => sink.skip(SkipReason::NegativeDuration),
            RunTime::Known(duration) => return Some(Job { submit, duration, ..job }),
            RunTime::Open { since, before } => {
                self.open.push((since, Job { submit, duration: before, ..job }));
            }
            RunTime::Unknown => sink.skip(SkipReason::NoDuration),
        }
        None
    }

    /// The file is read: open runs last until the latest time in it.
    pub(super) fn finish(self, sink: &mut TraceBuilder) {
        for job in self.close(sink) {
            sink.push(job);
        }
    }

    /// The same, but gives the jobs back.
    pub(super) fn close(self, sink: &mut TraceBuilder) -> Vec<Job> {
        let mut jobs = Vec::new();
        for (since, job) in self.open {
            let duration = job.duration + (self.latest - since);
            if duration <= Millis::ZERO {
                sink.skip(SkipReason::NoDuration);
            } else {
                sink.adjust(END_CENSORED);
                jobs.push(Job { duration, ..job });
            }
        }
        jobs
    }
}

/// Whether a state says that the job is over. States that nobody has heard of are not over.
pub(super) fn is_over(state: &str) -> bool {
    const OVER: [&str; 13] = [
        "pass",
        "killed",
        "fail",
        "failed",
        "completed",
        "cancelled",
        "canceled",
        "timeout",
        "node_fail",
        "terminated",
        "out_of_memory",
        "preempted",
        "stopped",
    ];
    let state = state.split_whitespace().next().unwrap_or_default();
    OVER.iter().any(|over| over.eq_ignore_ascii_case(state))
}
