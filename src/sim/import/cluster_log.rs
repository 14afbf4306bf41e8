//! Logs of Slurm-like clusters with one row per job: what `helios` and `acme` have in common.
//!
//! `gpu_num` and `cpu_num` are totals of the job; with `node_num` > 1 they become that many equal
//! workers that start together if the GPUs divide evenly, else the job stays in one piece. A run lasts
//! from `start_time` to `end_time`; where the end is missing, `duration` (seconds) says how long.

use super::clock::Moment;
use super::recording::{Recording, RunTime, is_over};
use super::table::{Column, Row, Table};
use super::{ImportError, Origin, Source, cell};
use crate::model::{GangId, Job, KindId, Shape, SkipReason, TraceBuilder};
use crate::time::{Millis, Timestamp};
use std::io::BufRead;

/// In what the formats differ.
pub(super) struct Dialect {
    /// Column with the kind of the work.
    pub(super) kind: Option<&'static str>,
    /// Columns with the end of the run; the first that is filled counts.
    pub(super) ends: &'static [&'static str],
}

struct Columns {
    user: Column,
    gpus: Column,
    cpus: Option<Column>,
    nodes: Option<Column>,
    kind: Option<Column>,
    state: Option<Column>,
    submit: Column,
    start: Column,
    ends: Vec<Column>,
    duration: Option<Column>,
}

/// Reads all rows.
pub(super) fn read(
    input: &mut dyn BufRead,
    source: &Source<'_>,
    sink: &mut TraceBuilder,
    dialect: &Dialect,
) -> Result<Origin, ImportError> {
    let mut table = Table::with_header(source.file, input, b',')?;
    let columns = Columns::find(&table, dialect)?;
    let mut recording = Recording::new();
    while let Some(row) = table.next_row(source.watch)? {
        sink.count_row();
        take(&row, &columns, source, &mut recording, sink)?;
    }
    recording.finish(sink);
    Ok(Origin::Epoch)
}

impl Columns {
    fn find(table: &Table<'_, &mut dyn BufRead>, dialect: &Dialect) -> Result<Self, ImportError> {
        Ok(Self {
            user: table.need("user")?,
            gpus: table.need("gpu_num")?,
            cpus: table.column("cpu_num"),
            nodes: table.column("node_num"),
            kind: dialect.kind.and_then(|kind| table.column(kind)),
            state: table.column("state"),
            submit: table.need("submit_time")?,
            start: table.need("start_time")?,
            ends: dialect.ends.iter().filter_map(|end| table.column(end)).collect(),
            duration: table.column("duration"),
        })
    }
}

fn take(
    row: &Row<'_>,
    columns: &Columns,
    source: &Source<'_>,
    recording: &mut Recording,
    sink: &mut TraceBuilder,
) -> Result<(), ImportError> {
    let submit = cell::moment(row, Some(columns.submit), source)?;
    let start = cell::moment(row, Some(columns.start), source)?;
    let end = first_end(row, columns, source)?;
    recording.saw(&[submit, start, end]);
    let gpus = cell::count(row, Some(columns.gpus), "the number of GPUs")?.unwrap_or(0);
    if gpus == 0 {
        sink.skip(SkipReason::NoGpu);
        return Ok(());
    }
    let nodes = cell::count(row, columns.nodes, "the number of nodes")?.unwrap_or(1);
    let cpus = cell::count(row, columns.cpus, "the number of CPUs")?.unwrap_or(0);
    let kind = row.text_or_empty(columns.kind)?;
    let job = Job {
        submit: Timestamp::ZERO,
        duration: Millis::ZERO,
        shape: sink.shape(&shape(gpus, nodes, cpus)),
        owner: sink.owner(row.text(columns.user)?),
        gang: GangId::NONE,
        kind: if kind.is_empty() { KindId::NONE } else { sink.kind(kind) },
    };
    let run_time = run_time(row, columns, start, end)?;
    recording.take(submit, run_time, job, sink);
    Ok(())
}

fn first_end(
    row: &Row<'_>,
    columns: &Columns,
    source: &Source<'_>,
) -> Result<Option<Moment>, ImportError> {
    for &column in &columns.ends {
        if let Some(end) = cell::moment(row, Some(column), source)? {
            return Ok(Some(end));
        }
    }
    Ok(None)
}

fn run_time(
    row: &Row<'_>,
    columns: &Columns,
    start: Option<Moment>,
    end: Option<Moment>,
) -> Result<RunTime, ImportError> {
    let duration = cell::span(row, columns.duration, "the duration")?;
    let known = duration.filter(|&span| span > Millis::ZERO);
    Ok(match (start, end, known) {
        (Some(_), None, Some(span)) => RunTime::Known(span),
        _ => RunTime::between(start, end, is_over(row.text_or_empty(columns.state)?)),
    })
}

/// Totals of a job, cut into equal workers where that comes out even.
pub(super) fn shape(gpus: u32, nodes: u32, cpus: u32) -> Shape {
    let workers = if nodes > 1 && gpus.is_multiple_of(nodes) { nodes } else { 1 };
    Shape {
        workers,
        cpu_milli: cpus.saturating_mul(1000) / workers,
        ..Shape::whole_gpus(gpus / workers)
    }
}
