//! Limits on what may be asked of a pool: sizes, steps, budgets, windows of time, stock-outs.
//!
//! Each is a pure function or a small state; a limit that binds says so by a [`Binding`], so that no
//! decision is cut without a reason.

mod back_off;
mod budget;
mod steps;
mod windows;

pub use back_off::BackOff;
pub use budget::Budgets;
pub use steps::{StepSettings, Steps};
pub use windows::{Weekday, Window, Windows};

use serde::{Deserialize, Serialize};
use std::fmt;

/// What can bound a number of nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Limit {
    /// The pool's minimum of nodes.
    MinNodes,
    /// The pool's maximum of nodes.
    MaxNodes,
    /// Nodes requested on speculation in one interval.
    UpStep,
    /// Nodes on their way on speculation at one time.
    InFlight,
    /// Nodes removed in one interval.
    DownStep,
    /// Nothing goes while nodes requested a short time ago are on their way.
    RecentUp,
    /// A node stays for a while once it is usable.
    MinHold,
    /// Nodes kept on speculation in the pool.
    SpeculativeBudget,
    /// Nodes of all pools together.
    TotalBudget,
    /// The time of the week.
    Window,
    /// The provider refused a node, or one failed.
    StockOut,
    /// The credit of the ledger.
    Credit,
}

impl Limit {
    /// All of them.
    pub const ALL: [Self; 12] = [
        Self::MinNodes,
        Self::MaxNodes,
        Self::UpStep,
        Self::InFlight,
        Self::DownStep,
        Self::RecentUp,
        Self::MinHold,
        Self::SpeculativeBudget,
        Self::TotalBudget,
        Self::Window,
        Self::StockOut,
        Self::Credit,
    ];
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::MinNodes => "the pool's minimum of nodes",
            Self::MaxNodes => "the pool's maximum of nodes",
            Self::UpStep => "the step limit for new nodes ahead of demand",
            Self::InFlight => "the limit for nodes on their way ahead of demand",
            Self::DownStep => "the step limit for removing nodes",
            Self::RecentUp => "nodes requested a short time ago that are still on their way",
            Self::MinHold => "the time a node stays once it is usable",
            Self::SpeculativeBudget => "the pool's budget for nodes ahead of demand",
            Self::TotalBudget => "the budget of nodes for all pools",
            Self::Window => "the time windows for nodes ahead of demand",
            Self::StockOut => "the pause after a refused or failed node",
            Self::Credit => "the credit for nodes ahead of demand",
        })
    }
}

/// A limit that bound a decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Binding {
    /// Which.
    pub limit: Limit,
    /// Nodes wanted.
    pub wanted: u32,
    /// Nodes it left, fewer than wanted.
    pub allowed: u32,
}

impl fmt::Display for Binding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { limit, wanted, allowed } = self;
        write!(f, "{wanted} wanted, {allowed} allowed by {limit}")
    }
}

/// A number of nodes on its way through the limits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bounded {
    /// What is left of it.
    pub nodes: u32,
    /// What took from it, in the order in which limits were applied.
    pub bindings: Vec<Binding>,
}

impl Bounded {
    /// Nothing has bound it yet.
    pub const fn new(wanted: u32) -> Self {
        Self { nodes: wanted, bindings: Vec::new() }
    }

    /// Applies a limit.
    #[must_use]
    pub fn at_most(mut self, limit: Limit, most: u32) -> Self {
        if most < self.nodes {
            self.bindings.push(Binding { limit, wanted: self.nodes, allowed: most });
            self.nodes = most;
        }
        self
    }

    /// Applies a limit that is all or nothing.
    #[must_use]
    pub fn only_if(self, limit: Limit, is_allowed: bool) -> Self {
        self.at_most(limit, if is_allowed { u32::MAX } else { 0 })
    }
}

/// New nodes the pool's maximum leaves.
pub fn below_max(alive: u32, max_nodes: Option<u32>) -> u32 {
    max_nodes.map_or(u32::MAX, |max| max.saturating_sub(alive))
}

/// Removals the pool's minimum leaves.
pub fn above_min(alive: u32, min_nodes: u32) -> u32 {
    alive.saturating_sub(min_nodes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_limits_that_take_something_are_told() {
        let bounded = Bounded::new(9)
            .at_most(Limit::MaxNodes, below_max(5, Some(13)))
            .at_most(Limit::UpStep, 8)
            .only_if(Limit::Window, true)
            .at_most(Limit::Credit, 3)
            .only_if(Limit::StockOut, false);
        assert_eq!(bounded.nodes, 0);
        let told: Vec<_> = bounded.bindings.iter().map(ToString::to_string).collect();
        assert_eq!(
            told,
            [
                "9 wanted, 8 allowed by the pool's maximum of nodes",
                "8 wanted, 3 allowed by the credit for nodes ahead of demand",
                "3 wanted, 0 allowed by the pause after a refused or failed node",
            ]
        );
    }

    #[test]
    fn a_pool_beyond_its_limits_has_no_room_left() {
        assert_eq!((below_max(9, Some(5)), below_max(9, None)), (0, u32::MAX));
        assert_eq!((above_min(9, 5), above_min(5, 9)), (4, 0));
    }
}
