//! Alibaba GPU v2025: inference instances of recommendation models, CPU and GPU parts apart.
//!
//! Times are seconds from the start of the recording, CPU is in cores, memory in GiB. An instance
//! without creation time existed before; if it has no scheduling time either it ran at second 0.
//! Without deletion it ran past the end. Instances of the role `CN` have no GPU and are skipped.

use super::error::ImportError;
use super::field::{amount, gpus, time};
use super::life::{self, Lives};
use super::table::Table;
use super::{Origin, Source};
use crate::model::{Job, KindId, Shape, SkipReason, TraceBuilder};
use std::io::BufRead;

/// Columns that tell this format.
pub(super) const SIGN: &[&str] =
    &["instance_sn", "app_name", "gpu_request", "creation_time", "scheduled_time", "deletion_time"];

/// Instances that were created before the recording but scheduled in it.
const WAITED_BEFORE: &str = "submit_cut_off_by_recording";

/// Reads a list of instances.
pub(super) fn read(
    input: &mut dyn BufRead,
    source: &Source<'_>,
    trace: &mut TraceBuilder,
) -> Result<Origin, ImportError> {
    let mut table = Table::with_header(source.file, input, b',')?;
    let (created, scheduled, deleted) =
        (table.need("creation_time")?, table.need("scheduled_time")?, table.need("deletion_time")?);
    let gpu = table.need("gpu_request")?;
    let (cpu, memory) = (table.column("cpu_request"), table.column("memory_request"));
    let (app, role) = (table.column("app_name"), table.column("role"));
    let mut lives = Lives::default();
    while let Some(row) = table.next_row(source.watch)? {
        trace.count_row();
        let times = [time(&row, created)?, time(&row, scheduled)?, time(&row, deleted)?];
        lives.saw(times);
        let (gpus, gpu_milli) = gpus(&row, gpu)?;
        let shape = Shape {
            gpu_milli,
            cpu_milli: amount(&row, cpu, 1000.0, "the number of CPUs")?,
            memory_mib: amount(&row, memory, 1024.0, "the memory in GiB")?,
            ..Shape::whole_gpus(gpus)
        };
        if gpus == 0 {
            trace.skip(SkipReason::NoGpu);
            continue;
        }
        let [created, scheduled, deleted] = times;
        let (kind, submit, start) = match (created, scheduled) {
            (None, None) => (KindId::PREEXISTING, 0, 0),
            (Some(_), None) => {
                trace.skip(SkipReason::NoDuration);
                continue;
            }
            (created, Some(start)) => {
                if created.is_none() {
                    trace.adjust(WAITED_BEFORE);
                }
                (trace.kind(row.text_or_empty(role)?), created.unwrap_or(0), start)
            }
        };
        let owner = trace.owner(row.text_or_empty(app)?);
        let job = Job { owner, kind, ..life::job(submit, trace.shape(&shape)) };
        lives.push(trace, job, start, deleted);
    }
    lives.settle(trace);
    Ok(Origin::Trace)
}
