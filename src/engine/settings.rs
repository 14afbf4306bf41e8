//! What a user decides: prices of waiting, limits, and whether to speculate at all.

use crate::{
    guard::{
        ledger::LedgerSettings,
        limits::{Budgets, StepSettings, Windows},
    },
    model::{Pool, Shape},
    time::Millis,
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

/// Most signals of a pool.
pub const MOST_SIGNALS: usize = 16;

/// Most GPUs for each unit of a signal.
const MOST_GPUS_PER_UNIT: f64 = 10_000.0;

/// Longest time by which a signal can run ahead.
const LONGEST_LEAD: Millis = Millis::from_hours(24);

/// A metric that moves before jobs do.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SignalSettings {
    /// Unique within the pool.
    pub name: String,
    /// Where its values come from, such as the query: what was learned is forgotten when it changes. The engine
    /// does not look into it.
    #[serde(default)]
    pub source: String,
    /// GPUs for each of its units.
    pub gpus_per_unit: f64,
    /// By how much it runs ahead of jobs; `None` = learn it.
    #[serde(default)]
    pub lead: Option<Millis>,
    /// Never ask for more.
    #[serde(default)]
    pub max_gpus: Option<u32>,
}

impl SignalSettings {
    /// One GPU for each unit, everything else learned.
    pub fn new(name: impl Into<String>) -> Self {
        let (name, source) = (name.into(), String::new());
        Self { name, source, gpus_per_unit: 1.0, lead: None, max_gpus: None }
    }

    /// What of a pool's signals cannot be, if anything.
    pub fn problem(signals: &[Self]) -> Option<&'static str> {
        let can_be = |signal: &Self| {
            (0.0..=MOST_GPUS_PER_UNIT).contains(&signal.gpus_per_unit)
                && signal.lead.is_none_or(|lead| (Millis::ZERO..=LONGEST_LEAD).contains(&lead))
        };
        let twice = |(place, signal): (usize, &Self)| {
            signals[..place].iter().any(|other| other.name == signal.name)
        };
        if signals.len() > MOST_SIGNALS {
            Some("`signals` has more than 16")
        } else if signals.iter().enumerate().any(twice) {
            Some("`signals` has a name twice")
        } else if !signals.iter().all(can_be) {
            Some("`signals` has a number that is out of range")
        } else {
            None
        }
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
    /// Metrics that move before jobs do; only the first [`MOST_SIGNALS`] count.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub signals: Vec<SignalSettings>,
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
            signals: Vec::new(),
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
