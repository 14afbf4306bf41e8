//! `alibaba-pai-2020`: tasks of Alibaba's PAI cluster (Weng et al., NSDI'22).
//!
//! `pai_task_table`, without header: `job_name,task_name,inst_num,status,start_time,end_time,plan_cpu,
//! plan_mem,plan_gpu,gpu_type`. Per instance, `plan_gpu` is in percent of a GPU, `plan_cpu` in percent of
//! a core, `plan_mem` in GB (read as GiB). A task becomes a job of `inst_num` workers; more than one
//! GPU that is not a whole number becomes that many devices, rounded up, with equal shares (150 % = two
//! times 750). The tasks of a job that ask for GPUs form a gang.
//!
//! The job table ([`super::Options::pai_job_table`]: `job_name,inst_id,user,status,start_time,
//! end_time`, without header) gives the owner and the submission, which is the job's start. Without it, or for a job that it
//! does not know, the task's own start is the submission (counted as `submit_from_task`).
//!
//! Times are Unix seconds with invented dates, but hour and weekday are right in UTC+8: name the zone
//! `Asia/Shanghai`.

mod jobs;

use super::clock::Moment;
use super::recording::{RunTime, is_over};
use super::sniff::Head;
use super::table::{Column, Row, Table};
use super::{ImportError, Origin, Source, cell};
use crate::model::{Job, KindId, Shape, SkipReason, TraceBuilder};
use crate::time::{Millis, Timestamp};
use jobs::{JobTable, Tasks};
use std::io::BufRead;

const COLUMNS: [&str; 10] = [
    "job_name",
    "task_name",
    "inst_num",
    "status",
    "start_time",
    "end_time",
    "plan_cpu",
    "plan_mem",
    "plan_gpu",
    "gpu_type",
];

/// Most percent of a GPU, of a core or GB that one instance plans with.
const MOST_PLANNED: f64 = 1_000_000.0;

struct Columns {
    job: Column,
    instances: Column,
    status: Column,
    start: Column,
    end: Column,
    cpu: Column,
    memory: Column,
    gpu: Column,
    gpu_type: Column,
}

/// Ten fields, no header: how many instances, and in what state.
pub(super) fn looks_like(head: &Head<'_>) -> bool {
    let fields: Vec<&str> = head.columns().collect();
    fields.len() == COLUMNS.len()
        && fields[2].parse::<f64>().is_ok()
        && matches!(fields[3], "Running" | "Terminated" | "Failed" | "Waiting" | "Interrupted")
}

/// Reads all rows.
pub(super) fn read(
    input: &mut dyn BufRead,
    source: &Source<'_>,
    sink: &mut TraceBuilder,
) -> Result<Origin, ImportError> {
    let job_table = match &source.options.pai_job_table {
        Some(path) => Some(JobTable::open(path, source)?),
        None => None,
    };
    let mut table = Table::without_header(source.file, input, b',', &COLUMNS);
    let columns = Columns::find(&table)?;
    let mut tasks = Tasks::new();
    while let Some(row) = table.next_row(source.watch)? {
        sink.count_row();
        if row.text(columns.job)?.trim_start_matches('\u{feff}') == COLUMNS[0] {
            sink.skip(SkipReason::NotAJob);
            continue;
        }
        take(&row, &columns, source, job_table.as_ref(), &mut tasks, sink)?;
    }
    tasks.finish(sink);
    Ok(Origin::Epoch)
}

impl Columns {
    fn find(table: &Table<'_, &mut dyn BufRead>) -> Result<Self, ImportError> {
        Ok(Self {
            job: table.need("job_name")?,
            instances: table.need("inst_num")?,
            status: table.need("status")?,
            start: table.need("start_time")?,
            end: table.need("end_time")?,
            cpu: table.need("plan_cpu")?,
            memory: table.need("plan_mem")?,
            gpu: table.need("plan_gpu")?,
            gpu_type: table.need("gpu_type")?,
        })
    }
}

fn take(
    row: &Row<'_>,
    columns: &Columns,
    source: &Source<'_>,
    job_table: Option<&JobTable>,
    tasks: &mut Tasks,
    sink: &mut TraceBuilder,
) -> Result<(), ImportError> {
    let start = cell::moment(row, Some(columns.start), source)?;
    let end = cell::moment(row, Some(columns.end), source)?;
    tasks.saw(&[start, end]);
    let Some(shape) = shape(row, columns)? else {
        sink.skip(SkipReason::NoGpu);
        return Ok(());
    };
    let name = row.text(columns.job)?.trim_start_matches('\u{feff}');
    let entry = job_table.and_then(|jobs| jobs.find(name));
    let submit = entry.and_then(|entry| entry.submit).map(Moment::from);
    if submit.is_none() && start.is_some() {
        sink.adjust("submit_from_task");
    }
    let job = Job {
        submit: Timestamp::ZERO,
        duration: Millis::ZERO,
        shape: sink.shape(&shape),
        owner: sink.owner(entry.map_or("", |entry| entry.user)),
        gang: tasks.provisional_gang(name),
        kind: KindId::NONE,
    };
    let run_time = RunTime::between(start, end, is_over(row.text(columns.status)?));
    // A task that never started has no submission of its own, but that is not why it is skipped.
    if run_time == RunTime::Unknown {
        sink.skip(SkipReason::NoDuration);
    } else {
        tasks.take(submit.or(start), run_time, job, sink);
    }
    Ok(())
}

/// What the task asks for; `None` if that is no GPU.
fn shape(row: &Row<'_>, columns: &Columns) -> Result<Option<Shape>, ImportError> {
    let percent = planned(row, columns.gpu, "the GPU plan, in percent of a GPU,")?;
    let workers =
        cell::count(row, Some(columns.instances), "the number of instances")?.unwrap_or(1);
    if percent <= 0.0 || workers == 0 {
        return Ok(None);
    }
    let gpus = (percent / 100.0).ceil();
    let gpu_milli = (percent * 10.0 / gpus).round().clamp(1.0, 1000.0) as u16;
    let cpu_percent = planned(row, columns.cpu, "the CPU plan, in percent of a core,")?;
    let gib = planned(row, columns.memory, "the memory plan, in GB,")?;
    let model = row.text(columns.gpu_type)?;
    let is_model = !super::clock::is_absent(model);
    Ok(Some(Shape {
        workers,
        gpu_milli,
        cpu_milli: (cpu_percent * 10.0).round() as u32,
        memory_mib: (gib * 1024.0).ceil() as u32,
        gpu_models: if is_model { vec![model.to_owned()] } else { Vec::new() },
        ..Shape::whole_gpus(gpus as u32)
    }))
}

fn planned(row: &Row<'_>, column: Column, meaning: &str) -> Result<f64, ImportError> {
    match cell::number(row, Some(column), meaning)? {
        None => Ok(0.0),
        Some(value) if (0.0..=MOST_PLANNED).contains(&value) => Ok(value),
        Some(_) => Err(row.wrong(column, &format!("{meaning} is from 0 to {MOST_PLANNED}"))),
    }
}

#[cfg(test)]
mod tests;
