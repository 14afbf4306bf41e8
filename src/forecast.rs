//! Forecasts of demand: what the recent past says about the next minutes and hours.
//!
//! Two families that share nothing but their subject. Equal bins of mean demand with seasons and
//! spectra ([`DemandHistory`], [`Seasonal`], [`denoise`]) serve the baselines. Conditional quantiles
//! serve the decision engine: [`events`] remember, [`labels`] and [`deficit`] say what would have been
//! needed, [`scenarios`] what of it would be missing now, [`bins`] say in which situation, [`quantile`] turns both into a table, [`calibration`]
//! makes its quantile mean what it says, and [`drift`] notices when the past stops counting. [`gaps`] say after how long an
//! idle node had better go. [`profile`] forecasts demand that follows the hours of the week.
//! [`shape_mix`] says which shapes of jobs come next.
//!
//! Knows nothing of free capacity, nodes on their way or money; a price is at most a time it is worth.

pub mod bins;
pub mod calibration;
pub mod coverage;
pub mod deficit;
pub mod drift;
pub mod events;
mod fill;
mod fourier;
pub mod gaps;
mod history;
pub mod labels;
pub mod leading;
pub mod pinball;
pub mod profile;
pub mod quantile;
pub mod scenarios;
mod seasonal;
pub mod shape_mix;

pub use fourier::{Denoise, denoise};
pub use history::DemandHistory;
pub use seasonal::{Seasonal, autocorrelation};
