//! The simulation kernel: pools of nodes, jobs that come, and strategies that scale. Event-driven,
//! integer milliseconds, deterministic: the same arguments give the same bytes.
//!
//! It serves offline runs (`sim`) and the replay of strategies on a pool's own past.
//!
//! At one instant things happen in this order: jobs end, nodes change stage, jobs arrive, waiting jobs
//! are scheduled, and on the decision grid the strategies are asked.

mod attribution;
mod classes;
mod controller;
mod fleet;
mod free_index;
mod need;
mod outcome;
mod placement;
mod queue;
mod run;
mod series;
mod setup;

pub use controller::Controller;
pub use outcome::{Causes, NodeLife, Outcome, PoolTotals, Series, WaitCause};
pub use run::{run, run_controlled};
pub use setup::{Placement, Setup};
