//! Rows of a series as points: at this time this pool has this demand.

use crate::sim::import::error::ImportError;
use crate::sim::import::field::{amount, is_missing};
use crate::sim::import::seconds::milliseconds;
use crate::sim::import::table::{Column, Row, Table};
use jiff::{civil::DateTime, tz::TimeZone};
use std::collections::HashMap;
use std::io::Read;

/// Columns of a wide series that are no pools.
const NO_POOLS: [&str; 4] = ["submit_jobs", "submit_gpus", "pending_gpus", "pending_jobs"];

/// Demand of one pool from one time on.
pub(super) struct Point {
    /// Milliseconds, from whatever the file counts from.
    pub(super) time: i64,
    pub(super) pool: u32,
    pub(super) milli: u32,
    pub(super) line: u64,
}

/// How the columns are laid out.
enum Layout {
    /// One column per pool, in the order of the pools.
    Wide(Vec<Column>),
    /// The pool's name and the parts of its demand.
    Long(Column, Vec<Column>),
}

/// Reads rows into points.
pub(super) struct Reader {
    time: Column,
    /// Are times dates, not seconds from some start?
    pub(super) is_civil: bool,
    layout: Layout,
    known: HashMap<Vec<u8>, u32>,
    pub(super) points: Vec<Point>,
    pub(super) pools: Vec<String>,
}

impl Reader {
    pub(super) fn of<R: Read>(file: &str, table: &Table<'_, R>) -> Result<Self, ImportError> {
        let civil = table.column("time").filter(|_| table.column("t_s").is_none());
        let time = civil.map_or_else(|| table.need("t_s"), Ok)?;
        let long = |pool, parts: &[&str]| {
            let parts: Option<Vec<Column>> = parts.iter().map(|part| table.column(part)).collect();
            table.column(pool).zip(parts)
        };
        let mut pools = Vec::new();
        let layout = if let Some((pool, demand)) = long("pool", &["demand_gpus"])
            .or_else(|| long("vc", &["running_gpu_num", "pending_gpu_num"]))
        {
            Layout::Long(pool, demand)
        } else {
            pools = pool_names(table.columns());
            Layout::Wide(pools.iter().map(|name| table.need(name)).collect::<Result<_, _>>()?)
        };
        if matches!(&layout, Layout::Wide(columns) if columns.is_empty()) {
            return Err(ImportError::File {
                file: file.to_owned(),
                problem: "the series has no column for a pool".to_owned(),
                remedy: "add one column per pool, or `pool` and `demand_gpus`".to_owned(),
            });
        }
        let (known, points) = (HashMap::new(), Vec::new());
        Ok(Self { time, is_civil: civil.is_some(), layout, known, points, pools })
    }

    /// Takes the points of a row.
    pub(super) fn read(&mut self, row: &Row<'_>, zone: &TimeZone) -> Result<(), ImportError> {
        let time =
            if self.is_civil { instant(row, self.time, zone) } else { second(row, self.time) }?;
        let line = row.line();
        match &self.layout {
            Layout::Wide(columns) => {
                for (pool, &column) in (0..).zip(columns) {
                    if !is_missing(row, column) {
                        let milli = level(row, column)?;
                        self.points.push(Point { time, pool, milli, line });
                    }
                }
            }
            Layout::Long(name, parts) => {
                let mut milli = 0_u32;
                for &part in parts {
                    milli = milli.saturating_add(level(row, part)?);
                }
                let pool = pool(&mut self.known, &mut self.pools, row, *name)?;
                self.points.push(Point { time, pool, milli, line });
            }
        }
        Ok(())
    }
}

/// The number of a pool, new or known.
fn pool(
    known: &mut HashMap<Vec<u8>, u32>,
    pools: &mut Vec<String>,
    row: &Row<'_>,
    column: Column,
) -> Result<u32, ImportError> {
    let raw = row.bytes(column);
    if let Some(&pool) = known.get(raw) {
        return Ok(pool);
    }
    if raw.is_empty() {
        return Err(row.wrong(column, "write the name of the pool"));
    }
    let pool = pools.len() as u32;
    pools.push(row.text(column)?.to_owned());
    known.insert(raw.to_owned(), pool);
    Ok(pool)
}

/// Columns of a wide series that are pools.
fn pool_names(columns: &[String]) -> Vec<String> {
    let is_pool = |name: &&String| {
        !name.is_empty() && *name != "t_s" && *name != "time" && !NO_POOLS.contains(&name.as_str())
    };
    columns.iter().filter(is_pool).cloned().collect()
}

fn level(row: &Row<'_>, column: Column) -> Result<u32, ImportError> {
    amount(row, Some(column), 1000.0, "the demand in GPUs")
}

fn second(row: &Row<'_>, column: Column) -> Result<i64, ImportError> {
    milliseconds(row, column, "the time")?
        .filter(|&time| time >= 0)
        .ok_or_else(|| row.wrong(column, "write the seconds from the start, 0 or more"))
}

fn instant(row: &Row<'_>, column: Column, zone: &TimeZone) -> Result<i64, ImportError> {
    let text = row.text(column)?;
    let with_offset = text.parse::<jiff::Timestamp>().ok();
    let civil = || zone.to_timestamp(text.parse::<DateTime>().ok()?).ok();
    with_offset
        .or_else(civil)
        .map(jiff::Timestamp::as_millisecond)
        .ok_or_else(|| row.wrong(column, "write the time like 2024-05-17T11:00:00Z or +02:00"))
}
