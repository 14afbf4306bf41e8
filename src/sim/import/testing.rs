//! Reads a small text with one format, for the tests of the formats.

use super::{ImportError, Options, Origin, ReadRows, Source};
use crate::model::{SkipReason, Trace, TraceBuilder};

/// The trace in a text, or why there is none.
pub(super) fn try_read(
    read: ReadRows,
    text: &str,
    options: &Options,
) -> Result<(Trace, Origin), ImportError> {
    let mut sink = TraceBuilder::new();
    let source = Source { file: "x", options, watch: &() };
    let origin = read(&mut text.as_bytes(), &source, &mut sink)?;
    Ok((sink.build(), origin))
}

/// The trace in a text that is right.
pub(super) fn read(read: ReadRows, text: &str) -> Trace {
    try_read(read, text, &Options::default()).unwrap().0
}

/// The message about a text that is wrong.
pub(super) fn message(read: ReadRows, text: &str) -> String {
    try_read(read, text, &Options::default()).err().unwrap().to_string()
}

/// How often rows were skipped for a reason.
pub(super) fn skipped(trace: &Trace, reason: SkipReason) -> u64 {
    trace.skipped.get(&reason).copied().unwrap_or_default()
}

/// Seconds and GPUs (workers times devices) of all jobs.
pub(super) fn runs(trace: &Trace) -> Vec<(i64, u32)> {
    let gpus = |job| trace.shape(job).workers * trace.shape(job).gpus;
    trace.jobs.iter().map(|job| (job.duration.0 / 1000, gpus(job))).collect()
}
