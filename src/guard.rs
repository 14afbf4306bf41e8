//! Guards: what bounds a controller that spends on speculation, whatever its forecasts say.
//!
//! [`shadow`] is the lower bound, never fewer nodes than a reactive controller would have; [`ledger`] the
//! upper, never much more node-time than that. Everything here is pure, serialisable and bounded in
//! memory.

pub mod ladder;
pub mod ledger;
pub mod limits;
pub mod shadow;
pub mod skill;
