//! Traces of other tools, read into [`crate::model::Trace`].
//!
//! Every format is one module that streams rows into a [`TraceBuilder`]; no row is kept as text. What
//! is the same for all stands here: compression, options, the start of the trace.

mod acme;
mod cell;
mod clock;
mod cluster_log;
mod error;
mod helios;
mod json;
mod pai;
mod philly_csv;
mod philly_json;
mod recording;
mod requests;
mod slurm;
mod supply;
mod table;
#[cfg(test)]
mod testing;

pub use error::ImportError;
pub use requests::{Capacity, ReplicaRule};
pub use supply::read_supply;

use super::watch::Watch;
use crate::model::TraceBuilder;
use std::io::BufRead;
use std::path::PathBuf;

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
