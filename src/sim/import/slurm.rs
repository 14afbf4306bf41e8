//! `slurm`: accounting rows, from `sacct -P` or from a dump of the accounting database (MIT Supercloud).
//!
//! Columns by name, in any order: `Submit, Start, End`, one of `ReqTRES`, `AllocTRES` (or `time_submit,
//! time_start, time_end, tres_req, tres_alloc`), and if present `User, Partition, State, JobID,
//! ElapsedRaw, Priority, ReqCPUS, ReqMem`. The delimiter is `|` if the header has one, else `,`.
//!
//! - The request counts, not what was given; where it names no GPU, the allocation does.
//! - Steps (`123.batch`) are not jobs. Array tasks (`123_4`) and parts of a heterogeneous job (`123+1`) are.
//! - `Start` unknown: it never ran. `End` unknown: it runs on, `ElapsedRaw` seconds if that column is
//!   there, else to the latest time in the file; counted as `end_censored`. Time 0 is unknown, too.
//! - Where start and end are known, their difference is the run time; suspension counts as running.
//! - `Priority` becomes the priority, capped at 2^31 - 1; leave the column out to treat all alike.
//! - The partition becomes the kind. Times without offset are local.

mod tres;

use super::clock::Moment;
use super::recording::{END_CENSORED, Recording, RunTime};
use super::sniff::Head;
use super::table::{Column, Row, Table};
use super::{ImportError, Origin, Source, cell};
use crate::model::{GangId, Job, KindId, Shape, SkipReason, TraceBuilder};
use crate::time::{Millis, Timestamp};
use std::io::BufRead;
use tres::Request;

/// Largest priority Slurm knows.
const HIGHEST_PRIORITY: i64 = u32::MAX as i64;

struct Columns {
    id: Option<Column>,
    submit: Column,
    start: Column,
    end: Column,
    elapsed: Option<Column>,
    requested: Option<Column>,
    allocated: Option<Column>,
    cpus: Option<Column>,
    memory: Option<Column>,
    priority: Option<Column>,
    user: Option<Column>,
    partition: Option<Column>,
}

/// Accounting columns under either of their names.
pub(super) fn looks_like(head: &Head<'_>) -> bool {
    head.has_columns(&["Submit", "Start", "End"])
        || head.has_columns(&["time_submit", "time_start", "time_end"])
}

/// Reads all rows.
pub(super) fn read(
    input: &mut dyn BufRead,
    source: &Source<'_>,
    sink: &mut TraceBuilder,
) -> Result<Origin, ImportError> {
    let delimiter = delimiter(input, source)?;
    let mut table = Table::with_header(source.file, input, delimiter)?;
    let columns = Columns::find(&table)?;
    let mut recording = Recording::new();
    while let Some(row) = table.next_row(source.watch)? {
        sink.count_row();
        take(&row, &columns, source, &mut recording, sink)?;
    }
    recording.finish(sink);
    Ok(Origin::Epoch)
}

/// Looks at the header without taking it.
fn delimiter(input: &mut dyn BufRead, source: &Source<'_>) -> Result<u8, ImportError> {
    let start = input
        .fill_buf()
        .map_err(|error| ImportError::Read { file: source.file.to_owned(), source: error })?;
    let header = start.split(|&byte| byte == b'\n').next().unwrap_or_default();
    Ok(if header.contains(&b'|') { b'|' } else { b',' })
}

impl Columns {
    fn find(table: &Table<'_, &mut dyn BufRead>) -> Result<Self, ImportError> {
        let either = |a: &str, b: &str| table.column(a).or_else(|| table.column(b));
        let need = |a: &str, b: &str| table.column(b).map_or_else(|| table.need(a), Ok);
        let requested = either("ReqTRES", "tres_req");
        let allocated = either("AllocTRES", "tres_alloc");
        if requested.is_none() && allocated.is_none() {
            table.need("ReqTRES")?;
        }
        Ok(Self {
            id: either("JobID", "JobIDRaw"),
            submit: need("Submit", "time_submit")?,
            start: need("Start", "time_start")?,
            end: need("End", "time_end")?,
            elapsed: table.column("ElapsedRaw"),
            requested,
            allocated,
            cpus: either("ReqCPUS", "cpus_req"),
            memory: table.column("ReqMem"),
            priority: either("Priority", "priority"),
            user: either("User", "id_user"),
            partition: either("Partition", "partition"),
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
    if is_step(row.text_or_empty(columns.id)?) {
        sink.skip(SkipReason::NotAJob);
        return Ok(());
    }
    let [submit, start, end] = [columns.submit, columns.start, columns.end]
        .map(|column| cell::moment(row, Some(column), source).map(known));
    let (submit, start, end) = (submit?, start?, end?);
    recording.saw(&[submit, start, end]);
    let request = request(row, columns, source)?;
    if request.gpus == 0 {
        sink.skip(SkipReason::NoGpu);
        return Ok(());
    }
    let partition = row.text_or_empty(columns.partition)?;
    let job = Job {
        submit: Timestamp::ZERO,
        duration: Millis::ZERO,
        shape: sink.shape(&Shape { priority: priority(row, columns)?, ..request.shape() }),
        owner: sink.owner(row.text_or_empty(columns.user)?),
        gang: GangId::NONE,
        kind: if partition.is_empty() { KindId::NONE } else { sink.kind(partition) },
    };
    let run_time = run_time(row, columns, start, end, sink)?;
    recording.take(submit, run_time, job, sink);
    Ok(())
}

/// The accounting database writes 0 where there is no time.
fn known(moment: Option<Moment>) -> Option<Moment> {
    moment.filter(|moment| moment.at() != Timestamp::ZERO)
}

/// `123.batch`, `123_4.extern`, `123.0`; also a header in the middle of joined files.
fn is_step(id: &str) -> bool {
    id.contains('.') || id.starts_with("JobID")
}

fn request(row: &Row<'_>, columns: &Columns, source: &Source<'_>) -> Result<Request, ImportError> {
    let gpu_id = source.options.slurm_gpu_tres_id;
    let mut request = Request::default();
    for column in [columns.requested, columns.allocated].into_iter().flatten() {
        let text = row.text(column)?;
        request = Request::parse(text, gpu_id)
            .ok_or_else(|| row.wrong(column, "a TRES list is `cpu=8,mem=64G,gres/gpu:a100=2`"))?;
        if request.gpus > 0 {
            break;
        }
    }
    if request.cpus == 0 {
        request.cpus = cell::count(row, columns.cpus, "the number of CPUs")?.unwrap_or(0);
    }
    if let (0, Some(column)) = (request.memory_mib, columns.memory) {
        request.memory_mib = tres::requested_memory(row.text(column)?, &request)
            .ok_or_else(|| row.wrong(column, "memory is `64G`, `4000Mc` or `4Gn`"))?;
    }
    Ok(request)
}

fn priority(row: &Row<'_>, columns: &Columns) -> Result<i32, ImportError> {
    match columns.priority {
        Some(column) if !super::clock::is_absent(row.text(column)?) => {
            let priority = row.integer(column, 0..=HIGHEST_PRIORITY, "the priority")?;
            Ok(i32::try_from(priority).unwrap_or(i32::MAX))
        }
        _ => Ok(0),
    }
}

fn run_time(
    row: &Row<'_>,
    columns: &Columns,
    start: Option<Moment>,
    end: Option<Moment>,
    sink: &mut TraceBuilder,
) -> Result<RunTime, ImportError> {
    let elapsed = cell::span(row, columns.elapsed, "the elapsed time")?;
    if let (Some(_), None, Some(elapsed)) = (start, end, elapsed.filter(|&e| e > Millis::ZERO)) {
        sink.adjust(END_CENSORED);
        return Ok(RunTime::Known(elapsed));
    }
    Ok(RunTime::between(start, end, false))
}

#[cfg(test)]
mod tests {
    use super::super::{Options, testing};
    use super::*;
    use crate::model::Trace;

    const HEADER: &str = "JobID|User|Partition|State|Submit|Start|End|ReqTRES|AllocTRES|Priority\n";

    fn read_rows(rows: &str) -> Trace {
        testing::read(read, &format!("{HEADER}{rows}"))
    }

    const TIMES: &str = "2024-01-08T00:00:00|2024-01-08T00:01:00|2024-01-08T00:02:00";

    #[test]
    fn the_request_gives_gpus_model_nodes_cpu_and_memory() {
        let trace = read_rows(&format!(
            "7_3|ann|gpu|COMPLETED|{TIMES}|billing=16,cpu=16,gres/gpu:a100=8,gres/gpu=8,mem=64G,node=2||4294901757\n"
        ));
        let job = &trace.jobs[0];
        let shape = trace.shape(job);
        assert_eq!(
            (shape.workers, shape.gpus, shape.cpu_milli, shape.memory_mib),
            (2, 4, 8000, 32_768)
        );
        assert_eq!(shape.gpu_models, ["a100"]);
        assert_eq!(shape.priority, i32::MAX);
        assert_eq!(trace.owners[job.owner.0 as usize], "ann");
        assert_eq!(trace.kinds[job.kind.0 as usize], "gpu");
    }

    #[test]
    fn steps_and_jobs_that_never_started_or_have_no_gpu_are_counted() {
        let trace = read_rows(&format!(
            "7|ann|gpu|COMPLETED|{TIMES}|cpu=1||1\n\
             8|ann|gpu|COMPLETED|{TIMES}|cpu=1|cpu=1,gres/gpu=2|1\n\
             8.batch|||||||||\n8.extern|||||||||\n8.0|||||||||\n\
             9|ann|gpu|PENDING|2024-01-08T00:00:00|Unknown|Unknown|gres/gpu=1||1\n\
             10|ann|gpu|CANCELLED by 5|2024-01-08T00:00:00|None|2024-01-08T00:00:30|gres/gpu=1||1\n"
        ));
        assert_eq!(testing::runs(&trace), [(60, 2)]);
        assert_eq!(testing::skipped(&trace, SkipReason::NotAJob), 3);
        assert_eq!(testing::skipped(&trace, SkipReason::NoGpu), 1);
        assert_eq!(testing::skipped(&trace, SkipReason::NoDuration), 2);
        assert_eq!(trace.rows, 7);
    }

    #[test]
    fn a_running_job_lasts_to_the_latest_time_of_the_file() {
        let trace = read_rows(
            "1|a|g|RUNNING|2024-01-08T00:00:00|2024-01-08T00:01:00|Unknown|gres/gpu=1||\n\
             2|a|g|PENDING|2024-01-08T00:11:00|Unknown|Unknown|gres/gpu=1||\n",
        );
        assert_eq!(testing::runs(&trace), [(600, 1)]);
        assert_eq!(trace.adjusted[END_CENSORED], 1);
        let elapsed = testing::read(
            read,
            "Submit|Start|End|ElapsedRaw|AllocTRES\n\
             2024-01-08T00:00:00|2024-01-08T00:01:00|Unknown|7200|gres/gpu=1\n",
        );
        assert_eq!(testing::runs(&elapsed), [(7200, 1)]);
        assert_eq!(elapsed.adjusted[END_CENSORED], 1);
    }

    #[test]
    fn a_database_dump_has_numeric_resources_unix_times_and_quoted_lists() {
        let text = "id_job,id_user,time_submit,time_start,time_end,tres_req,tres_alloc,state\n\
                    5,77,1610000000,1610000060,1610000120,\"1=40,2=8192,4=2,1002=4\",\"1=40\",3\n\
                    6,77,1610000000,0,0,\"1002=1\",\"\",0\n";
        let trace = testing::read(read, text);
        let shape = trace.shape(&trace.jobs[0]);
        assert_eq!(
            (shape.workers, shape.gpus, shape.cpu_milli, shape.memory_mib),
            (2, 2, 20_000, 4096)
        );
        assert_eq!(testing::skipped(&trace, SkipReason::NoDuration), 1);
        let options = Options { slurm_gpu_tres_id: 1001, ..Options::default() };
        let (other, _) = testing::try_read(read, text, &options).unwrap();
        assert_eq!(testing::skipped(&other, SkipReason::NoGpu), 2);
    }

    #[test]
    fn quotes_mean_nothing_in_sacct_and_wrong_lists_are_one_clear_line() {
        let text = format!("JobName|Submit|Start|End|ReqTRES\n\"a\" b \"|{TIMES}|gres/gpu=1\n");
        assert_eq!(testing::runs(&testing::read(read, &text)), [(60, 1)]);
        let text = format!("Submit|Start|End|ReqTRES\n{TIMES}|gres/gpu=many\n");
        let message = testing::message(read, &text);
        assert_eq!(
            message,
            "x:2: ReqTRES: found `gres/gpu=many`: a TRES list is `cpu=8,mem=64G,gres/gpu:a100=2`"
        );
    }
}
