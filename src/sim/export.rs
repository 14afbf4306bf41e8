//! The common form, written: what [`super::import`] reads as `jobs`.
//!
//! Reading the result gives the same jobs again; counts of skipped rows are not part of it. The seven
//! usual columns are always there, the others only if some job needs them.

use super::import::JOB_COLUMNS;
use crate::model::{Gang, GangId, Job, NVIDIA_GPU, Shape, Trace};
use std::io::{self, Write};

/// Columns that are always written.
const USUAL: usize = 7;

/// Columns, in the order of [`JOB_COLUMNS`], that have a meaning to us; the rest is only read over.
const WRITTEN: usize = 15;

/// Writes a trace in the common form.
pub fn write_jobs(trace: &Trace, output: &mut impl Write) -> io::Result<()> {
    let shapes: Vec<Vec<String>> = trace.shapes.iter().map(shape_fields).collect();
    let columns = columns(trace);
    let mut writer = csv::WriterBuilder::new().from_writer(output);
    writer.write_record(columns.iter().map(|&column| JOB_COLUMNS[column]))?;
    let mut number = String::new();
    for job in &trace.jobs {
        for &column in &columns {
            writer.write_field(field(trace, &shapes, job, column, &mut number))?;
        }
        writer.write_record(None::<&[u8]>)?;
    }
    writer.flush()
}

/// Numbers of the columns that some job needs.
fn columns(trace: &Trace) -> Vec<usize> {
    let needed = |column: usize| match column {
        9 | 10 => !trace.gangs.is_empty(),
        _ => trace.shapes.iter().any(|shape| !is_default(shape, column)),
    };
    (0..WRITTEN).filter(|&column| column < USUAL || needed(column)).collect()
}

fn is_default(shape: &Shape, column: usize) -> bool {
    match column {
        7 => shape.priority == 0,
        8 => shape.node_selector.is_empty(),
        11 => shape.resource == NVIDIA_GPU,
        12 => shape.cpu_milli == 0,
        13 => shape.memory_mib == 0,
        14 => shape.workers == 1,
        _ => true,
    }
}

/// The fields of a shape, by column; those of the job are empty.
fn shape_fields(shape: &Shape) -> Vec<String> {
    let labels: Vec<String> =
        shape.node_selector.iter().map(|(key, value)| format!("{key}={value}")).collect();
    let mut fields = vec![String::new(); WRITTEN];
    fields[2] = shape.gpus.to_string();
    fields[3] = shape.gpu_milli.to_string();
    fields[4] = shape.gpu_models.join("|");
    fields[7] = shape.priority.to_string();
    fields[8] = labels.join(";");
    fields[11].clone_from(&shape.resource);
    fields[12] = shape.cpu_milli.to_string();
    fields[13] = shape.memory_mib.to_string();
    fields[14] = shape.workers.to_string();
    fields
}

/// One field of a job; `number` is room for it.
fn field<'a>(
    trace: &'a Trace,
    shapes: &'a [Vec<String>],
    job: &Job,
    column: usize,
    number: &'a mut String,
) -> &'a str {
    number.clear();
    match column {
        0 => push_seconds(number, job.submit.0),
        1 => push_seconds(number, job.duration.0),
        5 => return &trace.owners[job.owner.0 as usize],
        6 => return &trace.kinds[job.kind.0 as usize],
        9 => return gang(trace, job.gang).map_or("", |gang| &gang.name),
        10 => {
            if let Some(gang) = gang(trace, job.gang) {
                number.push_str(&gang.min_members.to_string());
            }
        }
        _ => return &shapes[job.shape.0 as usize][column],
    }
    number
}

fn gang(trace: &Trace, id: GangId) -> Option<&Gang> {
    if id == GangId::NONE { None } else { trace.gangs.get(id.0 as usize) }
}

/// Milliseconds as seconds, exact and as short as can be.
fn push_seconds(text: &mut String, milliseconds: i64) {
    let (whole, rest) = (milliseconds.unsigned_abs() / 1000, milliseconds.unsigned_abs() % 1000);
    if milliseconds < 0 {
        text.push('-');
    }
    text.push_str(&whole.to_string());
    if rest > 0 {
        let digits = format!(".{rest:03}");
        text.push_str(digits.trim_end_matches('0'));
    }
}
