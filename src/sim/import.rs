//! Traces of other tools, read into [`crate::model::Trace`].
//!
//! Every format is one module that streams rows into a [`TraceBuilder`]; no row is kept as text. What
//! is the same for all stands here: compression, options, the start of the trace.

mod acme;
mod alibaba_dlrm;
mod alibaba_openb;
mod alibaba_spot_gpu;
mod cell;
mod clock;
mod cluster_log;
mod error;
mod field;
mod format;
mod helios;
mod jobs;
mod json;
mod life;
mod open;
mod pai;
mod philly_csv;
mod philly_json;
mod recording;
mod requests;
mod seconds;
mod series;
mod slurm;
mod sniff;
mod supply;
mod table;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;

pub use alibaba_openb::read_nodes;
pub use error::ImportError;
pub use format::{Format, UnknownFormat, names as format_names};
pub(super) use jobs::COLUMNS as JOB_COLUMNS;
pub use requests::{Capacity, ReplicaRule};
pub use supply::{read_supply, read_supply_file};

use super::watch::Watch;
use crate::{
    model::{Trace, TraceBuilder},
    time::Millis,
};
use std::{
    io::{BufRead, Read},
    path::{Path, PathBuf},
};

/// What the user says about a trace besides its name.
#[derive(Clone, Debug)]
pub struct Options {
    /// Zone of times without offset.
    pub time_zone: jiff::tz::TimeZone,
    /// `slurm`: the number of `gres/gpu` in TRES lists by number; `sacctmgr show tres` tells it.
    /// 1002 (MIT Supercloud) unless told.
    pub slurm_gpu_tres_id: u32,
    /// `alibaba-pai-2020`: the table of jobs that belongs to the table of tasks, for owners and
    /// submissions; without it, tasks are submitted when they started.
    pub pai_job_table: Option<PathBuf>,
    /// Request traces: how load becomes replicas.
    pub replicas: ReplicaRule,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            time_zone: jiff::tz::TimeZone::UTC,
            slurm_gpu_tres_id: 1002,
            pai_job_table: None,
            replicas: ReplicaRule::default(),
        }
    }
}

/// Where rows come from and how they are to be understood.
pub(super) struct Source<'a> {
    /// Name for messages.
    file: &'a str,
    options: &'a Options,
    watch: &'a dyn Watch,
}

/// What the submit times of a format count from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    /// The start of the trace.
    Trace,
    /// The Unix epoch; the trace is then moved so that its zero is the local midnight before its
    /// earliest submission, which keeps the hour of day meaningful.
    Epoch,
}

/// How a format reads its rows.
pub(super) type ReadRows =
    fn(&mut dyn BufRead, &Source<'_>, &mut TraceBuilder) -> Result<Origin, ImportError>;

/// Reads a trace from a file, plain or gzip. Without `format` it is told from the first bytes. The
/// watch hears of the bytes of the file as it lies on the disk.
pub fn read_file(
    path: &Path,
    format: Option<Format>,
    options: &Options,
    watch: &dyn Watch,
) -> Result<Trace, ImportError> {
    let input = open::open(path, watch)?;
    read(input, &path.display().to_string(), format, options, watch)
}

/// Opens a text file, plain or gzip; the watch hears of its bytes as they lie on the disk.
pub fn open_text<'a>(
    path: &Path,
    watch: &'a dyn Watch,
) -> Result<Box<dyn BufRead + 'a>, ImportError> {
    let input = open::open(path, watch)?;
    open::text(&path.display().to_string(), input).map(|(text, _)| text)
}

/// Reads a trace from any input; `name` stands for it in messages.
pub fn read(
    input: impl Read,
    name: &str,
    format: Option<Format>,
    options: &Options,
    watch: &dyn Watch,
) -> Result<Trace, ImportError> {
    let (mut text, head) = open::text(name, input)?;
    let format = format.map_or_else(|| Format::detect(name, &sniff::Head::new(&head)), Ok)?;
    let source = Source { file: name, options, watch };
    let mut builder = TraceBuilder::new();
    match format.reader()(&mut *text, &source, &mut builder)? {
        Origin::Trace => {}
        Origin::Epoch => start_at_midnight(&mut builder, options),
    }
    Ok(builder.build())
}

/// Moves zero from the Unix epoch to the local midnight before the earliest submission.
fn start_at_midnight(builder: &mut TraceBuilder, options: &Options) {
    let Some(earliest) = builder.earliest_submit() else { return };
    builder.shift(Millis(-local_midnight(earliest.0, &options.time_zone)));
}

/// The last midnight up to an instant, both in milliseconds of the Unix epoch.
fn local_midnight(instant: i64, zone: &jiff::tz::TimeZone) -> i64 {
    jiff::Timestamp::from_millisecond(instant)
        .and_then(|instant| instant.to_zoned(zone.clone()).start_of_day())
        .map_or(instant, |day| day.timestamp().as_millisecond())
}
