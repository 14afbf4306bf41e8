//! `philly-json`: `cluster_job_log` of Microsoft's Philly (Jeon et al., ATC'19).
//!
//! An array of `{status, vc, jobid, user, submitted_time, attempts: [{start_time, end_time, detail:
//! [{ip, gpus: [..]}]}]}`; only one element is in memory at a time. A job is retried after failures:
//! - its run time is the sum of its attempts, because the work of all of them held GPUs; the waits
//!   between them are left out;
//! - its GPUs are those of all machines of the last attempt that names any;
//! - no attempt with a start: it never ran. The last attempt without an end: the run lasts to the end
//!   of the recording unless `status` says that the job is over; then that attempt counts for no time.
//!
//! The owner is `vc`, the tenant that has the quota. Times are local without offset
//! (`America/Los_Angeles`).

use super::clock::{FORM, Moment, Written, is_absent};
use super::recording::{Recording, RunTime, is_over};
use super::{ImportError, Origin, Source, json};
use crate::model::{GangId, Job, Shape, SkipReason, TraceBuilder};
use crate::time::{Millis, Timestamp};
use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, SeqAccess, Visitor};
use std::{borrow::Cow, fmt, io::BufRead};

/// Elements between two looks at the watch.
const JOBS_PER_LOOK: u64 = 8192;

const JSON_FORM: &str = "an array of jobs with `submitted_time` and `attempts`";

#[derive(Deserialize)]
struct LoggedJob {
    #[serde(default)]
    status: Option<String>,
    #[serde(default)]
    vc: Option<String>,
    #[serde(deserialize_with = "submitted_time")]
    submitted_time: Option<Written>,
    #[serde(default)]
    attempts: Option<Vec<Attempt>>,
}

#[derive(Deserialize)]
struct Attempt {
    #[serde(default, deserialize_with = "start_time")]
    start_time: Option<Written>,
    #[serde(default, deserialize_with = "end_time")]
    end_time: Option<Written>,
    #[serde(default)]
    detail: Option<Vec<Machine>>,
}

#[derive(Deserialize)]
struct Machine {
    #[serde(default)]
    gpus: Vec<IgnoredAny>,
}

/// Takes job after job while the array is read.
struct Jobs<'a> {
    source: &'a Source<'a>,
    sink: &'a mut TraceBuilder,
    recording: &'a mut Recording,
    cancelled: &'a mut bool,
}

/// Reads the array.
pub(super) fn read(
    input: &mut dyn BufRead,
    source: &Source<'_>,
    sink: &mut TraceBuilder,
) -> Result<Origin, ImportError> {
    skip_byte_order_mark(input, source)?;
    let mut recording = Recording::new();
    let mut cancelled = false;
    let jobs = Jobs { source, sink, recording: &mut recording, cancelled: &mut cancelled };
    let mut reader = serde_json::Deserializer::from_reader(input);
    let read = jobs.deserialize(&mut reader).and_then(|()| reader.end());
    if cancelled {
        return Err(ImportError::Cancelled { file: source.file.to_owned() });
    }
    read.map_err(|error| json::error(source.file, error, JSON_FORM))?;
    recording.finish(sink);
    Ok(Origin::Epoch)
}

pub(super) fn skip_byte_order_mark(
    input: &mut dyn BufRead,
    source: &Source<'_>,
) -> Result<(), ImportError> {
    let start = input
        .fill_buf()
        .map_err(|error| ImportError::Read { file: source.file.to_owned(), source: error })?;
    let mark = if start.starts_with(b"\xef\xbb\xbf") { 3 } else { 0 };
    input.consume(mark);
    Ok(())
}

impl<'de> DeserializeSeed<'de> for Jobs<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Jobs<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(JSON_FORM)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut jobs: A) -> Result<(), A::Error> {
        let mut read = 0_u64;
        while let Some(job) = jobs.next_element::<LoggedJob>()? {
            if read.is_multiple_of(JOBS_PER_LOOK) && self.source.watch.cancelled() {
                *self.cancelled = true;
                return Err(A::Error::custom("interrupted"));
            }
            read += 1;
            self.sink.count_row();
            take(&job, self.source, self.recording, self.sink);
        }
        Ok(())
    }
}

fn take(job: &LoggedJob, source: &Source<'_>, recording: &mut Recording, sink: &mut TraceBuilder) {
    let moment = |written: Option<Written>| written.map(|w| w.moment(&source.options.time_zone));
    let submit = moment(job.submitted_time);
    let attempts = job.attempts.as_deref().unwrap_or_default();
    let runs: Vec<_> =
        attempts.iter().map(|run| (moment(run.start_time), moment(run.end_time))).collect();
    recording.saw(&[submit]);
    for &(start, end) in &runs {
        recording.saw(&[start, end]);
    }
    let run_time = run_time(&runs, job.status.as_deref().is_some_and(is_over));
    if run_time == RunTime::Unknown {
        return sink.skip(SkipReason::NoDuration);
    }
    let gpus = gpus(attempts);
    if gpus == 0 {
        return sink.skip(SkipReason::NoGpu);
    }
    let job = Job {
        submit: Timestamp::ZERO,
        duration: Millis::ZERO,
        shape: sink.shape(&Shape::whole_gpus(gpus)),
        owner: sink.owner(job.vc.as_deref().unwrap_or_default()),
        gang: GangId::NONE,
        kind: sink.kind("train"),
    };
    recording.take(submit, run_time, job, sink);
}

/// Sum of the attempts.
fn run_time(runs: &[(Option<Moment>, Option<Moment>)], is_over: bool) -> RunTime {
    let mut before = Millis::ZERO;
    let mut known = false;
    let mut since = None;
    for &(start, end) in runs {
        since = None;
        match RunTime::between(start, end, is_over) {
            RunTime::Known(span) => {
                before = before + span;
                known = true;
            }
            RunTime::Open { since: start, .. } => since = Some(start),
            RunTime::Unknown => {}
        }
    }
    match since {
        Some(since) => RunTime::Open { since, before },
        None if known => RunTime::Known(before),
        None => RunTime::Unknown,
    }
}

/// GPUs of the last attempt that names machines with GPUs.
fn gpus(attempts: &[Attempt]) -> u32 {
    let of_attempt = |attempt: &Attempt| {
        let machines = attempt.detail.as_deref().unwrap_or_default();
        machines.iter().map(|machine| machine.gpus.len() as u32).sum::<u32>()
    };
    attempts.iter().rev().map(of_attempt).find(|&gpus| gpus > 0).unwrap_or(0)
}

fn submitted_time<'de, D: Deserializer<'de>>(d: D) -> Result<Option<Written>, D::Error> {
    written(d, "submitted_time")
}

fn start_time<'de, D: Deserializer<'de>>(d: D) -> Result<Option<Written>, D::Error> {
    written(d, "start_time")
}

fn end_time<'de, D: Deserializer<'de>>(d: D) -> Result<Option<Written>, D::Error> {
    written(d, "end_time")
}

fn written<'de, D: Deserializer<'de>>(d: D, field: &str) -> Result<Option<Written>, D::Error> {
    let Some(text) = Option::<Cow<'_, str>>::deserialize(d)? else { return Ok(None) };
    if is_absent(&text) {
        return Ok(None);
    }
    let found = super::table::shortened(&text);
    let wrong = || D::Error::custom(format!("{field}: found `{found}`: {FORM}"));
    Written::parse(&text).map(Some).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::super::recording::END_CENSORED;
    use super::super::testing;
    use super::*;

    fn job(status: &str, submitted: &str, attempts: &str) -> String {
        format!(
            "{{\"status\": \"{status}\", \"vc\": \"6214e9\", \"jobid\": \"application_1\",\n\
             \"user\": \"u\", \"submitted_time\": {submitted},\n\"attempts\": [{attempts}]}}"
        )
    }

    fn attempt(start: &str, end: &str, machines: &[usize]) -> String {
        let machine = |&n: &usize| {
            let gpus: Vec<_> = (0..n).map(|gpu| format!("\"gpu{gpu}\"")).collect();
            format!("{{\"ip\": \"m1\", \"gpus\": [{}]}}", gpus.join(","))
        };
        let detail: Vec<_> = machines.iter().map(machine).collect();
        format!(
            "{{\"start_time\": {start}, \"end_time\": {end}, \"detail\": [{}]}}",
            detail.join(",")
        )
    }

    const T0: &str = "\"2017-10-09 07:00:00\"";
    const T1: &str = "\"2017-10-09 07:01:00\"";
    const T2: &str = "\"2017-10-09 07:03:00\"";
    const T9: &str = "\"2017-10-09 08:00:00\"";

    #[test]
    fn attempts_add_up_and_the_last_one_with_machines_gives_the_gpus() {
        let attempts = [attempt(T0, T1, &[4]), attempt(T1, T2, &[8, 8]), attempt(T2, T9, &[])];
        let trace =
            testing::read(read, &format!("\u{feff}[{}]", job("Pass", T0, &attempts.join(","))));
        assert_eq!(testing::runs(&trace), [(3600, 16)]);
        assert_eq!(trace.owners, ["", "6214e9"]);
    }

    #[test]
    fn jobs_that_never_ran_or_have_no_gpu_or_no_submission_are_counted() {
        let jobs = [
            job("Killed", T0, ""),
            job("Killed", T0, &attempt("null", "\"None\"", &[1])),
            job("Pass", T0, &attempt(T0, T1, &[])),
            job("Pass", "null", &attempt(T0, T1, &[1])),
            job("Failed", T0, &attempt(T1, T1, &[1])),
            job("Failed", T0, &attempt(T1, T0, &[1])),
            job("Killed", T0, &attempt(T1, "null", &[1])),
        ];
        let trace = testing::read(read, &format!("[{}]", jobs.join(",\n")));
        let reasons: Vec<_> = trace.skipped.iter().map(|(reason, n)| (reason.key(), *n)).collect();
        let expected = [
            ("no_gpu", 1),
            ("zero_duration", 1),
            ("negative_duration", 1),
            ("no_submit_time", 1),
            ("no_duration", 3),
        ];
        assert_eq!(reasons, expected);
        assert_eq!((trace.rows, trace.jobs.len()), (7, 0));
    }

    #[test]
    fn a_running_job_lasts_to_the_latest_time_of_the_file() {
        let attempts = [attempt(T0, T1, &[1]), attempt(T2, "null", &[2])];
        let jobs = [
            job("Running", T0, &attempts.join(",")),
            job("Pass", T9, &attempt("null", "null", &[])),
        ];
        let trace = testing::read(read, &format!("[{}]", jobs.join(",")));
        // One minute of the first attempt, 57 from 07:03 to 08:00.
        assert_eq!(testing::runs(&trace), [(58 * 60, 2)]);
        assert_eq!(trace.adjusted[END_CENSORED], 1);
    }

    #[test]
    fn errors_name_the_line_and_the_field() {
        let text = format!("[{}]", job("Pass", "\"yesterday\"", ""));
        let message = testing::message(read, &text);
        assert!(message.starts_with("x:2: submitted_time: found `yesterday`: a time"), "{message}");
        let cut = testing::message(read, "[{\"submitted_time\": null,\n\"attempts\": [");
        assert!(cut.starts_with("x:2: EOF") && cut.contains("cut off"), "{cut}");
        let object = testing::message(read, "{}");
        assert!(
            object.starts_with("x:1: invalid type: map, expected an array of jobs"),
            "{object}"
        );
    }

    #[test]
    fn an_interrupted_reader_stops() {
        struct Stop;
        impl crate::sim::watch::Watch for Stop {
            fn advanced(&self, _: u64, _: u64) {}
            fn cancelled(&self) -> bool {
                true
            }
        }
        let options = super::super::Options::default();
        let source = Source { file: "x", options: &options, watch: &Stop };
        let text = format!("[{}]", job("Pass", T0, ""));
        let error = read(&mut text.as_bytes(), &source, &mut TraceBuilder::new()).unwrap_err();
        assert!(matches!(error, ImportError::Cancelled { .. }), "{error}");
    }
}
