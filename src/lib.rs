//! Prewarm keeps GPU nodes ready before the pods that need them arrive, at a bounded cost.
//!
//! Decide in a pure core, act in `live`, rehearse in [`sim`]. The layers, lower ones first:
//!
//! | layer | modules | may use |
//! |---|---|---|
//! | 0 | [`time`], [`units`] | std |
//! | 1 | [`model`], [`promql`] | 0 |
//! | 2 | [`packing`], [`lead_time`], [`forecast`], [`readiness`], [`history`] | 0-1 |
//! | 3 | [`strategy`], [`world`], [`guard`], [`selector`], [`engine`], [`extender`] | 0-2 |
//! | 4 | [`config`] | 0-1 |
//! | 4 | [`decision_log`] | 0-3 |
//! | 4 | `prometheus` (feature `prometheus`) | 0-3 |
//! | 5 | [`sim`], `live`, `fleet`, `embedded_api` (features `live`, `embedded`) | 0-4 |
//! | 6 | [`cli`] | all |
//!
//! ARCHITECTURE.md says more; `tests/layers.rs` keeps the table true.

pub mod cli;
pub mod config;
pub mod decision_log;
#[cfg(feature = "embedded")]
pub mod embedded_api;
pub mod engine;
pub mod extender;
#[cfg(feature = "embedded")]
pub mod fleet;
pub mod forecast;
pub mod guard;
pub mod history;
pub mod lead_time;
#[cfg(feature = "live")]
pub mod live;
pub mod model;
pub mod packing;
#[cfg(feature = "prometheus")]
pub mod prometheus;
pub mod promql;
pub mod readiness;
pub mod selector;
pub mod sim;
pub mod strategy;
pub mod time;
pub mod units;
pub mod world;
