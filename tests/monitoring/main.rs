//! `deploy/monitoring` speaks of what the code measures, and each alert tells what to do.
//!
//! Names and labels come from the registries themselves, as they are served; promtool checks the rules and runs
//! their cases (skipped with a word where it is missing).
#![cfg(feature = "live")]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "tests stop where they cannot go on, and say what they skip"
)]

mod alerts;
mod dashboards;
mod files;
mod promql;
mod promtool;
mod registered;
mod scraping;
