//! Which strategy would have cost least on a pool's own last days.
//!
//! A day is replayed once, in the simulation kernel, with what was known at each of its instants, from
//! two hours before its start; nothing of a day is used before the day is over. [`replay()`] is a pure
//! function of a [`Brief`] and runs apart from the decision; its [`ReplayedDay`](crate::model::ReplayedDay) is handed to the next
//! one. [`Scores`] adds up the days and names the cheapest candidate: one other than the prior carries a
//! handicap that fades as days accumulate, and one other than the incumbent has to be better by a
//! margin. What is followed before the first day is over is the prior that the price of waiting suggests.
//!
//! # Source
//! `Autopilot` (Rzadca et al., `EuroSys` 2020): the cheapest of an ensemble of small models on its own
//! history. Quantile of the prior: newsvendor, `q = 1 - 1 / kappa`.

mod replay;
mod scores;

pub use replay::{Brief, replay};
pub use scores::{Scores, ScoresError};

pub(crate) use replay::{DAY, WARM_UP};
pub(crate) use scores::Weights;
