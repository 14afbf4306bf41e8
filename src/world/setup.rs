//! What a run is given besides the trace and the strategies.

use crate::{
    model::Pool,
    time::{Millis, Timestamp},
};
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

/// Which node a job goes to when several could take it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Placement {
    /// Where the least is left over; ties to the oldest node.
    #[default]
    BestFit,
    /// Where the most is left over: what kube-scheduler's default scoring amounts to.
    Spread,
    /// Where the fewest GPUs become useless for the shapes seen so far.
    ///
    /// # Source
    /// Weng et al., "Beware of Fragmentation: Scheduling GPU-Sharing Workloads with Fragmentation
    /// Gradient Descent", USENIX ATC 2023.
    Fgd,
    /// Where it takes least from the jobs to come (see [`crate::packing::Mix::loss`]), as the scheduler
    /// extender scores; idle nodes last among equals. Where the least is left over, if all that counts is how
    /// many whole devices are free, or if nodes come and go: what fits nowhere gets a new node then, and what
    /// counts is how many nodes fall idle.
    Prewarm,
}

impl Placement {
    /// All, by name.
    pub const ALL: [(&'static str, Self); 4] = [
        ("best-fit", Self::BestFit),
        ("spread", Self::Spread),
        ("fgd", Self::Fgd),
        ("prewarm", Self::Prewarm),
    ];
}

impl fmt::Display for Placement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let named = Self::ALL.iter().find(|(_, placement)| placement == self);
        f.write_str(named.map_or("", |(name, _)| name))
    }
}

impl FromStr for Placement {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        Self::ALL
            .iter()
            .find(|(known, _)| *known == name)
            .map(|&(_, placement)| placement)
            .ok_or_else(|| {
                format!("unknown placement `{name}`: use best-fit, spread, fgd or prewarm")
            })
    }
}

/// The world of a run.
#[derive(Clone, Debug, PartialEq)]
pub struct Setup {
    /// Pools in order of preference, at least one.
    pub pools: Vec<Pool>,
    /// Where jobs go.
    pub placement: Placement,
    /// Spacing of decisions; zero = at every change (with zero lead times: a world without waiting).
    pub decision_every: Millis,
    /// Seed of lead times and failures.
    pub seed: u64,
    /// The run ends here; what happens at this very instant is not simulated.
    pub end: Timestamp,
    /// Jobs submitted from here on are scored.
    pub score_from: Timestamp,
    /// Record a [`super::Series`] with bins of this width.
    pub series_bin: Option<Millis>,
}

impl Setup {
    /// Decisions are made every 10 s unless said otherwise, as cluster-autoscaler scans.
    pub const DECISION_EVERY: Millis = Millis::from_secs(10);
}
