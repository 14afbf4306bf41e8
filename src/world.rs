//! The simulation kernel: pools of nodes, jobs that come, and strategies that scale. Event-driven,
//! integer milliseconds, deterministic: the same arguments give the same bytes.
//!
//! It serves offline runs (`sim`) and the replay of strategies on a pool's own past.

mod outcome;

pub use outcome::{Causes, NodeLife, Outcome, PoolTotals, Series, WaitCause};
