//! `philly-csv`: the short form of the Philly log, `timestamp,duration,num_gpus,gpu_time,cluster`.
//!
//! `timestamp` is the submission: a time, Unix seconds, or (below 10^9) seconds since the start of the
//! trace; the first row decides, and a row of another sort is an error. `duration` is in seconds.
//! `cluster` becomes the kind; there is no owner.

use super::clock::{Moment, Written};
use super::recording::{Recording, RunTime};
use super::table::{Column, Row, Table};
use super::{ImportError, Origin, Source, cell};
use crate::model::{GangId, Job, KindId, OwnerId, Shape, SkipReason, TraceBuilder};
use crate::time::{Millis, Timestamp};
use std::io::BufRead;

/// Numbers from here on are Unix seconds (September 2001), below it seconds of the trace (31 years).
pub(super) const FIRST_UNIX_SECS: i64 = 1_000_000_000;

/// Reads all rows.
pub(super) fn read(
    input: &mut dyn BufRead,
    source: &Source<'_>,
    sink: &mut TraceBuilder,
) -> Result<Origin, ImportError> {
    let mut table = Table::with_header(source.file, input, b',')?;
    let submit = table.need("timestamp")?;
    let duration = table.need("duration")?;
    let gpus = table.need("num_gpus")?;
    let cluster = table.column("cluster");
    let mut recording = Recording::new();
    let mut origin = None;
    while let Some(row) = table.next_row(source.watch)? {
        sink.count_row();
        let submit = origin_checked(&row, submit, source, &mut origin)?;
        let gpus = cell::count(&row, Some(gpus), "the number of GPUs")?.unwrap_or(0);
        if gpus == 0 {
            sink.skip(SkipReason::NoGpu);
            continue;
        }
        let span = cell::span(&row, Some(duration), "the duration")?;
        let kind = row.text_or_empty(cluster)?;
        let job = Job {
            submit: Timestamp::ZERO,
            duration: Millis::ZERO,
            shape: sink.shape(&Shape::whole_gpus(gpus)),
            owner: OwnerId(0),
            gang: GangId::NONE,
            kind: if kind.is_empty() { KindId::NONE } else { sink.kind(kind) },
        };
        recording.take(submit, span.map_or(RunTime::Unknown, RunTime::Known), job, sink);
    }
    recording.finish(sink);
    Ok(origin.unwrap_or(Origin::Trace))
}

/// A time that counts from the same zero as all others of the file.
pub(super) fn origin_checked(
    row: &Row<'_>,
    column: Column,
    source: &Source<'_>,
    known: &mut Option<Origin>,
) -> Result<Option<Moment>, ImportError> {
    let Some(moment) = cell::moment(row, Some(column), source)? else { return Ok(None) };
    let is_number = matches!(Written::parse(row.text(column)?), Some(Written::Instant(_)))
        && row.bytes(column).iter().all(|byte| byte.is_ascii_digit() || *byte == b'.');
    let of_trace = is_number && moment.at() < Timestamp::from_secs(FIRST_UNIX_SECS);
    let origin = if of_trace { Origin::Trace } else { Origin::Epoch };
    if *known.get_or_insert(origin) == origin {
        return Ok(Some(moment));
    }
    Err(row.wrong(column, "the first row counts differently; use dates or seconds, not both"))
}

#[cfg(test)]
mod tests {
    use super::super::{Options, testing};
    use super::*;

    fn origin_of(rows: &str) -> Origin {
        let text = format!("timestamp,duration,num_gpus,gpu_time,cluster\n{rows}");
        testing::try_read(read, &text, &Options::default()).unwrap().1
    }

    #[test]
    fn rows_need_not_be_sorted_and_every_trap_is_counted() {
        let trace = testing::read(
            read,
            "timestamp,duration,num_gpus,gpu_time,cluster\r\n\
             500,60.0,8,480,philly\r\n100,0,1,0,philly\r\n100,-3,1,-3,philly\r\n100,30,0,0,philly\r\n\
             100,,1,,philly\r\n,9,1,9,philly\r\n7,9,1,9,\r\n",
        );
        assert_eq!(testing::runs(&trace), [(9, 1), (60, 8)]);
        let reasons: Vec<_> = trace.skipped.iter().map(|(reason, n)| (reason.key(), *n)).collect();
        let expected = [
            ("no_gpu", 1),
            ("zero_duration", 1),
            ("negative_duration", 1),
            ("no_submit_time", 1),
            ("no_duration", 1),
        ];
        assert_eq!(reasons, expected);
    }

    #[test]
    fn small_numbers_are_seconds_of_the_trace_and_dates_are_not() {
        assert_eq!(origin_of("5,1,1,1,p\n"), Origin::Trace);
        assert_eq!(origin_of("1506211200,1,1,1,p\n"), Origin::Epoch);
        assert_eq!(origin_of("2017-09-24 00:00:00,1,1,1,p\n"), Origin::Epoch);
        let mixed = "timestamp,duration,num_gpus\n5,1,1\n1506211200,1,1\n";
        let message = testing::message(read, mixed);
        assert!(message.starts_with("x:3: timestamp: found `1506211200`: the first"), "{message}");
    }
}
