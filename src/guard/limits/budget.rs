//! Budgets: most nodes kept on speculation in one pool, most nodes of all pools.

use serde::{Deserialize, Serialize};

/// Optional budgets; none bounds nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Budgets {
    /// Most nodes that exist or are on their way on speculation alone, per pool.
    pub max_speculative_nodes: Option<u32>,
    /// Most nodes of all pools together.
    pub max_nodes: Option<u32>,
}

impl Budgets {
    /// New nodes the pool's budget leaves where `speculative` are there on speculation.
    pub fn speculative_room(&self, speculative: u32) -> u32 {
        room(self.max_speculative_nodes, speculative)
    }

    /// New nodes the common budget leaves where all pools together have `alive`.
    pub fn total_room(&self, alive: u32) -> u32 {
        room(self.max_nodes, alive)
    }
}

fn room(most: Option<u32>, now: u32) -> u32 {
    most.map_or(u32::MAX, |most| most.saturating_sub(now))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_budget_leaves_what_is_not_used() {
        let budgets = Budgets { max_speculative_nodes: Some(4), max_nodes: None };
        assert_eq!([0, 3, 4, 9].map(|nodes| budgets.speculative_room(nodes)), [4, 1, 0, 0]);
        assert_eq!(budgets.total_room(1_000), u32::MAX);
    }
}
