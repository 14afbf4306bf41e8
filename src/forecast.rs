//! Forecasts of demand: what the recent past says about the next hours.
//!
//! Pure arithmetic on equal bins of mean demand; knows nothing of pools, nodes or money.

mod fourier;
mod history;
mod seasonal;

pub use fourier::{Denoise, denoise};
pub use history::DemandHistory;
pub use seasonal::{Seasonal, autocorrelation};
