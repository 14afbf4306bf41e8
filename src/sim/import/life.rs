//! Jobs known by when they were created, scheduled and deleted, any of which the recording may have
//! missed.
//!
//! A job that was still there at the end of the recording runs to that end; the end is the latest
//! time in the file. Which times are missing at the start of a recording differs between formats, so
//! they say it themselves.

use crate::model::{Job, SkipReason, TraceBuilder};
use crate::time::{Millis, Timestamp};

/// Jobs that ran past the end of the recording, counted as adjusted under this key.
const CUT_OFF: &str = "end_cut_off_by_recording";

/// Collects jobs whose end may be known only when all rows are read.
#[derive(Default)]
pub(super) struct Lives {
    last: i64,
    open: Vec<(Job, i64)>,
}

impl Lives {
    /// Tells a time of the recording (milliseconds).
    pub(super) fn saw(&mut self, times: impl IntoIterator<Item = Option<i64>>) {
        for time in times.into_iter().flatten() {
            self.last = self.last.max(time);
        }
    }

    /// Takes a job that ran from `start` to `end`; `None` = past the recording. The duration of
    /// `job` is set here.
    pub(super) fn push(
        &mut self,
        trace: &mut TraceBuilder,
        job: Job,
        start: i64,
        end: Option<i64>,
    ) {
        match end {
            Some(end) => finish(trace, job, end - start),
            None => self.open.push((job, start)),
        }
    }

    /// All rows are read: what is open lasts to the end.
    pub(super) fn settle(self, trace: &mut TraceBuilder) {
        for (job, start) in self.open {
            if self.last > start {
                trace.adjust(CUT_OFF);
            }
            finish(trace, job, self.last - start);
        }
    }
}

/// Takes a job that ran for `duration` milliseconds.
pub(super) fn finish(trace: &mut TraceBuilder, job: Job, duration: i64) {
    match duration {
        ..0 => trace.skip(SkipReason::NegativeDuration),
        0 => trace.skip(SkipReason::ZeroDuration),
        _ => trace.push(Job { duration: Millis(duration), ..job }),
    }
}

/// A job without owner, gang or end.
pub(super) fn job(submit: i64, shape: crate::model::ShapeId) -> Job {
    Job {
        submit: Timestamp(submit),
        duration: Millis::ZERO,
        shape,
        owner: crate::model::OwnerId(0),
        gang: crate::model::GangId::NONE,
        kind: crate::model::KindId::NONE,
    }
}
