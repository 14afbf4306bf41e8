//! What a user decides: prices of waiting, limits, and whether to speculate at all.

use crate::{
    guard::{
        ledger::LedgerSettings,
        limits::{Budgets, StepSettings, Windows},
    },
    model::{Pool, Shape},
    world::Placement,
};
use serde::{Deserialize, Serialize};

/// Cost of a waiting GPU-hour over the price of a GPU-hour, by priority.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Kappa {
    /// For jobs of no class below.
    pub default: f64,
    /// (priority, kappa): jobs of exactly this priority.
    #[serde(default)]
    pub by_priority: Vec<(i32, f64)>,
}

impl Kappa {
    /// The same for all jobs.
    pub const fn new(default: f64) -> Self {
        Self { default, by_priority: Vec::new() }
    }

    /// Of jobs of this shape.
    pub fn of(&self, shape: &Shape) -> f64 {
        let own = self.by_priority.iter().find(|(priority, _)| *priority == shape.priority);
        own.map_or(self.default, |&(_, kappa)| kappa)
    }
}

/// One pool.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PoolSettings {
    /// What it is made of; its lead time is the prior of the learned one.
    pub pool: Pool,
    /// What waiting costs.
    pub kappa: Kappa,
    /// What speculation may cost.
    pub ledger: LedgerSettings,
    /// How fast the pool may change.
    pub steps: StepSettings,
    /// How far speculation may go.
    pub budgets: Budgets,
    /// When speculation is allowed.
    pub windows: Windows,
    /// Follow this candidate instead of choosing; index into the candidates.
    #[serde(default)]
    pub pinned: Option<usize>,
}

impl PoolSettings {
    /// Defaults for a pool.
    pub fn new(pool: Pool, kappa: f64) -> Self {
        Self {
            pool,
            kappa: Kappa::new(kappa),
            ledger: LedgerSettings::default(),
            steps: StepSettings::default(),
            budgets: Budgets::default(),
            windows: Windows::default(),
            pinned: None,
        }
    }
}

/// Everything that does not come from the cluster.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Settings {
    /// Pools in order of preference.
    pub pools: Vec<PoolSettings>,
    /// How jobs are placed, for replays.
    pub placement: Placement,
    /// Most nodes of all pools together.
    #[serde(default)]
    pub max_nodes: Option<u32>,
}

impl Settings {
    /// These pools with defaults, placed best-fit, at the same price of waiting.
    pub fn new(pools: impl IntoIterator<Item = Pool>, kappa: f64) -> Self {
        let pools = pools.into_iter().map(|pool| PoolSettings::new(pool, kappa)).collect();
        Self { pools, placement: Placement::default(), max_nodes: None }
    }

    pub(super) fn budgets(&self) -> Budgets {
        Budgets { max_nodes: self.max_nodes, ..Budgets::default() }
    }
}
