//! Offline runs: traces in, comparisons of strategies out.

pub mod report;
