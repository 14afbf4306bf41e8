//! Offline runs: traces in, comparisons of strategies out.

pub mod bounds;
pub mod clairvoyant;
pub mod report;
pub mod yardstick;
