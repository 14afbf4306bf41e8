//! GPUs in demand over time, per pool, turned into jobs that reproduce the net change.
//!
//! Sizes and run times are invented: a rise becomes jobs of 8 whole GPUs and a remainder, a fall ends
//! the oldest, split if need be. What comes and goes between two rows cannot be seen. Good for
//! questions of hours and several pools, not for waiting times of single jobs.
//!
//! Time is `t_s` (seconds) or `time` (RFC 3339; without offset in the zone of the options). Demand is
//! one column per pool, or the long form `pool,demand_gpus`, or that of Helios
//! (`vc,running_gpu_num,pending_gpu_num`, whose sum is the demand; `total_gpu_num` is what the virtual
//! cluster owns). Columns that sum up arrivals are not pools. The jobs' GPU model is the name
//! of the pool. An empty cell keeps the level. The level of the first row runs from second 0, which
//! is the midnight before it; what runs at the last row ends one step after it.

mod pieces;
mod points;

use super::error::ImportError;
use super::sniff::Head;
use super::table::Table;
use super::{Origin, Source};
use crate::model::TraceBuilder;
use jiff::tz::TimeZone;
use pieces::Pieces;
use points::{Point, Reader};
use std::io::BufRead;

/// First rows whose level is taken to have held since midnight.
const EXTENDED: &str = "first_level_extended_to_start";

/// Does the header speak of time, and of nothing but time and numbers?
pub(super) fn looks_like(head: &Head<'_>) -> bool {
    let has = |names: &[&str]| head.has_columns(names);
    let known = has(&["pool", "demand_gpus"]) || has(&["vc", "running_gpu_num", "pending_gpu_num"]);
    has(&["t_s"]) || has(&["time"]) && (known || numbers_follow(head))
}

/// Has the second line a number in every column but the first?
fn numbers_follow(head: &Head<'_>) -> bool {
    let second = head.text().lines().filter(|line| !line.trim().is_empty()).nth(1);
    let is_number = |cell: &str| cell.trim().is_empty() || cell.trim().parse::<f64>().is_ok();
    second.is_some_and(|line| line.split(',').skip(1).all(is_number))
}

/// Reads a series.
pub(super) fn read(
    input: &mut dyn BufRead,
    source: &Source<'_>,
    trace: &mut TraceBuilder,
) -> Result<Origin, ImportError> {
    let mut table = Table::with_header(source.file, input, b',')?;
    let mut reader = Reader::of(source.file, &table)?;
    while let Some(row) = table.next_row(source.watch)? {
        trace.count_row();
        reader.read(&row, &source.options.time_zone)?;
    }
    let (mut points, pools) = (reader.points, reader.pools);
    points.sort_unstable_by_key(|point| (point.time, point.pool, point.line));
    refuse_contradictions(source.file, &points, &pools)?;
    let (first, end) = span(source.file, &points)?;
    let zone = if reader.is_civil { source.options.time_zone.clone() } else { TimeZone::UTC };
    let zero = super::local_midnight(first, &zone);
    if zero < first {
        trace.adjust(EXTENDED);
    }
    let mut pieces: Vec<Pieces> = pools.iter().map(|name| Pieces::new(name)).collect();
    for point in &points {
        let is_first = point.time == first;
        let time = if is_first { 0 } else { point.time - zero };
        pieces[point.pool as usize].set(point.milli, time, is_first, trace);
    }
    for pool in &mut pieces {
        pool.finish(end - zero, trace);
    }
    Ok(Origin::Trace)
}

/// The first time and one step after the last.
fn span(file: &str, points: &[Point]) -> Result<(i64, i64), ImportError> {
    let last = points.last().map_or(0, |point| point.time);
    let before = points.iter().rev().map(|point| point.time).find(|&time| time < last);
    match (points.first(), before) {
        (Some(first), Some(before)) => Ok((first.time, last + (last - before))),
        _ => Err(ImportError::File {
            file: file.to_owned(),
            problem: "the series has fewer than two points in time".to_owned(),
            remedy: "give at least two rows at different times".to_owned(),
        }),
    }
}

/// One pool has one level at a time.
fn refuse_contradictions(
    file: &str,
    points: &[Point],
    pools: &[String],
) -> Result<(), ImportError> {
    let same = |pair: &&[Point]| {
        (pair[0].time, pair[0].pool) == (pair[1].time, pair[1].pool)
            && pair[0].milli != pair[1].milli
    };
    points.windows(2).find(same).map_or(Ok(()), |pair| {
        Err(ImportError::Value {
            file: file.to_owned(),
            line: pair[1].line,
            column: pools[pair[1].pool as usize].clone(),
            found: (f64::from(pair[1].milli) / 1000.0).to_string(),
            remedy: format!("line {} gives another level for the same time", pair[0].line),
        })
    })
}
