//! Traces of other tools, read into [`crate::model::Trace`].
//!
//! Every format is one module that streams rows into a [`TraceBuilder`]; no row is kept as text. What
//! is the same for all stands here: compression, options, the start of the trace.

mod acme;
mod clock;
mod cluster_log;
mod error;
mod field;
mod helios;
mod json;
mod philly_csv;
mod philly_json;
mod recording;
mod supply;
mod table;
#[cfg(test)]
mod testing;

pub use error::ImportError;
pub use supply::read_supply;

use super::watch::Watch;
use crate::model::TraceBuilder;
use std::io::BufRead;

/// What the user says about a trace besides its name.
#[derive(Clone, Debug)]
pub struct Options {
    /// Zone of times without offset.
    pub time_zone: jiff::tz::TimeZone,
}

impl Default for Options {
    fn default() -> Self {
        Self { time_zone: jiff::tz::TimeZone::UTC }
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
