//! Offline runs: traces in, comparisons of strategies out.

pub mod adaptive;
pub mod arrivals;
pub mod bounds;
pub mod caveats;
pub mod clairvoyant;
pub mod compare;
pub mod expect;
pub mod export;
pub mod import;
pub mod past;
pub mod policy;
pub mod report;
pub mod scenario;
pub mod signals;
pub mod watch;
pub mod yardstick;
