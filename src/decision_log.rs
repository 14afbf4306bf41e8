//! The decision log: everything `decide` saw and what it decided, one JSON document a line.
//!
//! The first line has the settings and the memory at the start; every further line one look: the
//! instant, the snapshot and the decision. Shapes are written when there are new ones. Deciding again
//! from the first line on must give the same decisions, bit by bit ([`replay()`]).

mod clock;
mod difference;
mod explain;
mod read;
mod replay;
mod write;

pub use clock::{instant, span};
pub use difference::Difference;
pub use explain::{Explanation, explain, explain_decision, explain_signal};
pub use read::{Entry, Log, LogError, Start};
pub use replay::{Replayed, replay};
pub use write::LogWriter;

/// Name and version of the format.
pub const SCHEMA: &str = "prewarm.decisions/v1";
