//! Reading whole inputs: compression, detection, the traps of the common form, and the way back.

use super::*;
use crate::model::{SkipReason, Trace};
use crate::sim::export::write_jobs;
use crate::time::Timestamp;
use flate2::{Compression, write::GzEncoder};
use std::io::Write;

mod alibaba;
mod real;
mod round_trip;
mod series;

/// Reads a text, telling the format from it.
pub(super) fn text(input: &str) -> Result<Trace, ImportError> {
    read(input.as_bytes(), "x.csv", None, &Options::default(), &())
}

/// The error of a text that is wrong, as one line.
pub(super) fn refused(input: &str) -> String {
    chain(&text(input).expect_err("must be refused"))
}

/// An error with its causes, as the program shows it.
fn chain(error: &dyn std::error::Error) -> String {
    error.source().map_or_else(|| error.to_string(), |cause| format!("{error}: {}", chain(cause)))
}

fn gzip(text: &str) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(text.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

fn bytes(input: &[u8]) -> Result<Trace, ImportError> {
    read(input, "x.csv.gz", None, &Options::default(), &())
}

const SMALL: &str = "submit_s,duration_s,gpus,gpu_milli,gpu_type,owner,kind\n\
    0,60,8,1000,V100M16|A100,ann,preexisting\n\
    5.0004,1.5,1,500,,\"b,ob\",batch\n";

#[test]
fn the_common_form_is_read_with_defaults_and_fractions() {
    let trace = text(SMALL).unwrap();
    let (first, second) = (trace.jobs[0], trace.jobs[1]);
    assert!(first.is_preexisting());
    assert_eq!(trace.shape(&first).gpu_models, ["A100", "V100M16"]);
    assert_eq!((second.submit, second.duration), (Timestamp(5000), Millis(1500)));
    assert_eq!(trace.shape(&second).demand_milli(), 500);
    assert_eq!(trace.owners, ["", "ann", "b,ob"]);
    let short = text("gpus,duration_s,submit_s\n2,10,1\n").unwrap();
    assert_eq!(short.shape(&short.jobs[0]), &crate::model::Shape::whole_gpus(2));
}

#[test]
fn marks_line_ends_blank_lines_and_gzip_change_nothing() {
    let plain = text(SMALL).unwrap();
    assert_eq!(text(&format!("\u{feff}{}", SMALL.replace('\n', "\r\n\r\n"))).unwrap(), plain);
    assert_eq!(bytes(&gzip(SMALL)).unwrap(), plain);
    let (head, tail) = SMALL.split_at(70);
    assert_eq!(bytes(&[gzip(head), gzip(tail)].concat()).unwrap(), plain, "two members");
}

#[test]
fn the_order_of_rows_changes_nothing() {
    let mut lines: Vec<&str> = SMALL.lines().collect();
    lines[1..].reverse();
    assert_eq!(text(&lines.join("\n")).unwrap(), text(SMALL).unwrap());
}

#[test]
fn damaged_inputs_are_refused_in_words() {
    let whole = gzip(&format!("{SMALL}{}", "7,7,1,1000,,,\n".repeat(50_000)));
    let error = chain(&bytes(&whole[..whole.len() - 20]).unwrap_err());
    assert!(error.contains("x.csv.gz: cannot read: the gzip data ends early"), "{error}");
    let mut bent = whole;
    let middle = bent.len() / 2;
    bent[middle..middle + 64].fill(0xff);
    let error = chain(&bytes(&bent).unwrap_err());
    assert!(error.contains("gzip data is damaged") || error.contains("x.csv.gz:"), "{error}");
    assert!(chain(&bytes(b"PK\x03\x04....").unwrap_err()).contains("this is a zip archive"));
    assert!(refused("").contains("x.csv: the file is empty"));
}

#[test]
fn a_missing_file_and_a_folder_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let read = |path: &Path| chain(&read_file(path, None, &Options::default(), &()).unwrap_err());
    let error = read(&folder.path().join("none.csv"));
    assert!(error.contains("none.csv: cannot read: No such file"), "{error}");
    assert!(read(folder.path()).contains("this is a folder: give one file of it"));
}

#[test]
fn every_skipped_row_is_counted_by_its_reason() {
    let trace = text("submit_s,duration_s,gpus\n0,10,1\n0,10,0\n0,0,1\n0,-5,1\n0,,1\n0,0.0001,2\n")
        .unwrap();
    let expected = [
        (SkipReason::NoGpu, 1),
        (SkipReason::ZeroDuration, 2),
        (SkipReason::NegativeDuration, 1),
        (SkipReason::NoDuration, 1),
    ];
    assert_eq!(trace.skipped, expected.into_iter().collect());
    assert_eq!((trace.rows, trace.jobs.len()), (6, 1));
}

#[test]
fn a_job_that_ran_before_may_be_written_a_moment_late_and_keeps_its_end() {
    let trace = text("submit_s,duration_s,gpus,kind\n2,100,1,preexisting\n").unwrap();
    assert_eq!((trace.jobs[0].submit, trace.jobs[0].duration), (Timestamp(0), Millis(102_000)));
    assert_eq!(trace.adjusted[&"preexisting_moved_to_start"], 1);
}

#[test]
fn wrong_values_name_line_column_and_remedy() {
    let header = "submit_s,duration_s,gpus,gpu_milli,kind,node_selector,gang_id,min_members\n";
    let rows = [
        ("-1,1,1,,,,,", "x.csv:2: submit_s: found `-1`: write the seconds from the start"),
        (",1,1,,,,,", "x.csv:2: submit_s: found ``"),
        ("now,1,1,,,,,", "x.csv:2: submit_s: found `now`: the submit time is a number"),
        ("0,NaN,1,,,,,", "x.csv:2: duration_s: found `NaN`: the run time is a number"),
        ("0,inf,1,,,,,", "x.csv:2: duration_s: found `inf`"),
        ("0,99999999999,1,,,,,", "duration_s: found `99999999999`: the run time is in seconds"),
        ("0,1,100001,,,,,", "gpus: found `100001`: the number of GPUs is a whole number from 0"),
        ("0,1,1.5,,,,,", "x.csv:2: gpus: found `1.5`"),
        ("0,1,1,0,,,,", "gpu_milli: found `0`: the share of each GPU is a whole number from 1"),
        ("0,1,1,1001,,,,", "gpu_milli: found `1001`"),
        ("61,1,1,,preexisting,,,", "submit_s: found `61`: a job of kind `preexisting` runs from"),
        ("0,1,1,,,zone,,", "node_selector: found `zone`: write labels as key=value"),
        ("0,1,1,,,a=1;a=2,,", "node_selector: found `a=1;a=2`: a label has one value"),
        ("0,1,1,,,,g,0", "min_members: found `0`: the members needed is a whole number from 1"),
        ("0,1", "x.csv:2: row: found `2 fields`: the header has 8"),
    ];
    for (row, expected) in rows {
        let error = refused(&format!("{header}{row}\n"));
        assert!(error.contains(expected), "{row}: {error}");
    }
}

#[test]
fn wrong_headers_are_not_read_over() {
    let jobs = |input: &str| {
        let format = Some(Format::Jobs);
        chain(&read(input.as_bytes(), "x.csv", format, &Options::default(), &()).unwrap_err())
    };
    assert!(jobs("submit,duration_s,gpus\n").contains("is `submit` meant to be it?"));
    let slip = jobs("submit_s,duration_s,gpus,gpu_mili\n");
    assert!(slip.contains("x.csv:1: header: found `gpu_mili`: did you mean `gpu_milli`?"));
    assert!(jobs("submit_s,duration_s,gpus,owner,owner\n").contains("there twice"));
    assert!(text("submit_s,duration_s,gpus,comment\n1,1,1,hi\n").is_ok(), "not like any of ours");
}

#[test]
fn a_gang_without_stated_size_needs_all_its_rows() {
    let trace = text(
        "submit_s,duration_s,gpus,gang_id,min_members\n0,9,8,a,\n0,9,8,a,\n0,9,8,b,1\n0,9,8,b,\n0,9,8,,\n",
    )
    .unwrap();
    let sizes: Vec<_> = trace.gangs.iter().map(|g| (g.name.as_str(), g.min_members)).collect();
    assert_eq!(sizes, [("a", 2), ("b", 1)]);
    assert_eq!(trace.jobs.iter().filter(|job| job.gang == crate::model::GangId::NONE).count(), 1);
}

#[test]
fn whoever_watches_hears_of_all_bytes_and_can_stop() {
    use std::sync::atomic::{AtomicU64, Ordering};
    struct Seen(AtomicU64, AtomicU64, bool);
    impl Watch for Seen {
        fn advanced(&self, done: u64, total: u64) {
            self.0.store(done, Ordering::Relaxed);
            self.1.store(total, Ordering::Relaxed);
        }
        fn cancelled(&self) -> bool {
            self.2
        }
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.csv.gz");
    let packed = gzip(SMALL);
    std::fs::write(&path, &packed).unwrap();
    let watch = Seen(AtomicU64::new(0), AtomicU64::new(0), false);
    read_file(&path, None, &Options::default(), &watch).unwrap();
    let seen = (watch.0.into_inner(), watch.1.into_inner());
    assert_eq!(seen, (packed.len() as u64, packed.len() as u64));
    let stop = Seen(AtomicU64::new(0), AtomicU64::new(0), true);
    let error = read_file(&path, None, &Options::default(), &stop).unwrap_err();
    assert!(matches!(error, ImportError::Cancelled { .. }));
}

#[test]
fn a_trace_of_epoch_times_starts_at_the_local_midnight() {
    let mut builder = TraceBuilder::new();
    let shape = builder.shape(&crate::model::Shape::whole_gpus(1));
    // 2024-03-31 12:00 in Berlin: ten hours and a half... the clock jumped from 2 to 3, so 11 h.
    builder.push(crate::model::Job {
        submit: Timestamp::from_secs(1_711_879_200),
        duration: Millis(1),
        shape,
        owner: crate::model::OwnerId(0),
        gang: crate::model::GangId::NONE,
        kind: crate::model::KindId::NONE,
    });
    let time_zone = jiff::tz::TimeZone::get("Europe/Berlin").unwrap();
    start_at_midnight(&mut builder, &Options { time_zone, ..Options::default() });
    assert_eq!(builder.build().jobs[0].submit, Timestamp::from_secs(11 * 3600));
}

#[test]
fn the_written_form_has_only_the_columns_needed() {
    let written = |trace: &Trace| {
        let mut output = Vec::new();
        write_jobs(trace, &mut output).unwrap();
        String::from_utf8(output).unwrap()
    };
    let trace = text(SMALL).unwrap();
    assert_eq!(
        written(&trace),
        "submit_s,duration_s,gpus,gpu_milli,gpu_type,owner,kind\n\
         0,60,8,1000,A100|V100M16,ann,preexisting\n\
         5,1.5,1,500,,\"b,ob\",batch\n"
    );
    let rich = "submit_s,duration_s,gpus,gpu_milli,gpu_type,owner,kind,node_selector,gang_id,\
         min_members,workers\n0,60,8,1000,,,,a=1;b=2,g,3,4\n";
    assert_eq!(written(&text(rich).unwrap()), rich);
}
