//! Alibaba GPU v2026: jobs of equal workers on high-priority and spot terms.
//!
//! `gpu_request` and `cpu_request` are of one worker; all workers start together. `submit_time` is in
//! seconds from the first job. High-priority jobs go before spot jobs; the eviction of spot jobs is
//! not known.

use super::error::ImportError;
use super::field::{amount, gpus, time};
use super::jobs::models;
use super::life;
use super::seconds::milliseconds;
use super::table::{Column, Row, Table};
use super::{Origin, Source};
use crate::model::{Job, Shape, SkipReason, TraceBuilder};
use std::io::{BufRead, Read};

/// Columns that tell this format.
pub(super) const SIGN: &[&str] =
    &["job_name", "gpu_request", "worker_num", "submit_time", "duration", "job_type"];

/// Places of the columns.
struct Columns {
    submit: Column,
    duration: Column,
    gpus: Column,
    workers: Column,
    terms: Column,
    model: Option<Column>,
    owner: Option<Column>,
    cpu: Option<Column>,
}

impl Columns {
    fn of<R: Read>(table: &Table<'_, R>) -> Result<Self, ImportError> {
        Ok(Self {
            submit: table.need("submit_time")?,
            duration: table.need("duration")?,
            gpus: table.need("gpu_request")?,
            workers: table.need("worker_num")?,
            terms: table.need("job_type")?,
            model: table.column("gpu_model"),
            owner: table.column("organization"),
            cpu: table.column("cpu_request"),
        })
    }
}

/// Reads a list of jobs.
pub(super) fn read(
    input: &mut dyn BufRead,
    source: &Source<'_>,
    trace: &mut TraceBuilder,
) -> Result<Origin, ImportError> {
    let mut table = Table::with_header(source.file, input, b',')?;
    let columns = Columns::of(&table)?;
    while let Some(row) = table.next_row(source.watch)? {
        trace.count_row();
        let submit = time(&row, columns.submit)?;
        let duration = milliseconds(&row, columns.duration, "the run time")?;
        let shape = shape(&row, &columns)?;
        let owner = trace.owner(row.text_or_empty(columns.owner)?);
        let kind = trace.kind(row.text(columns.terms)?);
        let (Some(submit), Some(duration)) = (submit, duration) else {
            let no_submit = submit.is_none();
            trace.skip(if no_submit { SkipReason::NoSubmitTime } else { SkipReason::NoDuration });
            continue;
        };
        if shape.gpus == 0 {
            trace.skip(SkipReason::NoGpu);
            continue;
        }
        let job = Job { owner, kind, ..life::job(submit, trace.shape(&shape)) };
        life::finish(trace, job, duration);
    }
    Ok(Origin::Trace)
}

fn shape(row: &Row<'_>, columns: &Columns) -> Result<Shape, ImportError> {
    let (gpus, gpu_milli) = gpus(row, columns.gpus)?;
    let priority = match row.bytes(columns.terms) {
        b"HP" => 1,
        b"Spot" => 0,
        _ => return Err(row.wrong(columns.terms, "write HP or Spot")),
    };
    Ok(Shape {
        priority,
        workers: row.integer(columns.workers, 1..=100_000, "the number of workers")? as u32,
        gpu_milli,
        cpu_milli: amount(row, columns.cpu, 1000.0, "the number of CPUs")?,
        gpu_models: models(row.text_or_empty(columns.model)?),
        ..Shape::whole_gpus(gpus)
    })
}
