//! Offline runs: traces in, comparisons of strategies out.

pub mod arrivals;
pub mod expect;
pub mod report;
pub mod scenario;
