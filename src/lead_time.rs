//! How long a node takes from request to usable GPUs, learned per pool and stage.
//!
//! Answers: how likely is a node on its way usable within `h`, how many of them will be, how long does a
//! fresh request take, and which node should no longer be counted on.
//!
//! In go durations of finished stages, the ages at which nodes failed or were given up, and, with each
//! question, the ages of the nodes still on their way. These are right-censored observations: without
//! them the model would see only the quick ones of a batch and promise too much.
//!
//! - [`StageTable`] learns one stage: durations on a 5-s grid, a prior, exponential forgetting.
//! - [`Survival`] is a Kaplan-Meier curve on that grid.
//! - [`LeadTimeModel`] joins the two stages of a pool; [`LeadTimes`] is what it knows at one instant.
//! - [`ReadyCount`] is how many of several independent nodes will be usable.
//!
//! It does not know GPUs, pods or pools: a node counts once, whatever it carries; who credits a half-warm
//! node by its GPUs does so elsewhere. No clock: instants come in as arguments.
//!
//! # Source
//! E. Kaplan and P. Meier, "Nonparametric estimation from incomplete observations" (1958).

mod draw;
mod failures;
mod grid;
mod model;
mod parts;
mod prior;
mod ready_count;
mod stage_table;
mod survival;

pub use draw::draw;
pub use grid::{BIN, BINS, GRID_END};
pub use model::{LeadTimeModel, LeadTimePrior, LeadTimes, Stage};
pub use parts::{DamagedParts, LeadTimeParts, StageParts};
pub use ready_count::ReadyCount;
pub use stage_table::{Learning, Shift, StageEstimate, StageTable};
pub use survival::Survival;

#[cfg(test)]
mod tests;
