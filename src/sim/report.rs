//! The result of a comparison and the ways to show it: a table for the terminal, a JSON document and
//! one self-contained page with pictures.
//!
//! In: a [`Report`] and, for the page, the [`PolicyPictures`] of each policy. Out: text. Nothing here
//! computes a result, reads a clock or opens a file; equal input gives equal text. What is shown in
//! more than one place (columns, best values, the finding in one sentence) is decided once, in
//! `columns` and `reading`.

mod columns;
mod document;
mod engine;
mod format;
#[cfg(test)]
mod invented;
mod json;
mod page;
mod past;
mod plots;
mod reading;
mod table;

pub use document::{
    ActiveStrategy, AskedForReport, Bounds, ByKappa, EngineReport, Interval, LedgerReport,
    PastReport, PolicyReport, PoolSummary, PromisedReport, Report, SavingReport, SettingsSummary,
    TraceSummary, WaitSeconds,
};
pub use json::json;
pub use page::page;
pub use table::{table, table_in_colour};

use crate::world::Series;

/// What the pictures of one policy are drawn from.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PolicyPictures {
    /// As in [`PolicyReport::name`].
    pub name: String,
    /// Over the whole run; the bins start at second 0. May be empty.
    pub series: Series,
    /// Waiting times of the scored jobs in milliseconds, ascending. May be empty.
    pub waits_ms: Vec<i64>,
}
