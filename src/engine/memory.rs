//! What the engine remembers from one decision to the next.
//!
//! All of it is bounded: events by age and number, jobs by age and number, scores by days, tables by their
//! bins. It can be kept as JSON and restored; one that was kept by another version, for other pools or
//! with numbers that cannot be is refused with a reason, and a new one is built from history instead
//! ([`Memory::new`], then [`Memory::recall`]).

use super::{
    lead::{KeptLead, Lead},
    promise::{Promises, Totals},
    settings::{PoolSettings, Settings},
};
use crate::{
    forecast::drift::Drift,
    guard::{
        ladder::Ladder,
        ledger::Ledger,
        limits::{BackOff, Steps},
        shadow::Shadow,
    },
    lead_time::DamagedParts,
    model::{Arrival, Finish, NodeId, NodeSnapshot, NodeStage, Shape},
    selector::{Scores, ScoresError},
    strategy::{Candidate, JobLog, Learner, Timeline, candidates, prior_for},
    time::{Millis, Timestamp},
};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, sync::Arc};
use thiserror::Error;

/// Name and version of the kept form.
pub const SCHEMA: &str = "prewarm.memory/v1";

/// Half-life of what jobs of the past weigh in the pool's kappa.
const MIX_HALF_LIFE: Millis = Millis::from_hours(14 * 24);

/// The memory of all pools.
#[derive(Clone, Debug)]
pub struct Memory {
    pub(super) candidates: Arc<[Candidate]>,
    pub(super) pools: Vec<PoolMemory>,
}

/// The memory of one pool.
#[derive(Clone, Debug)]
pub(super) struct PoolMemory {
    pub(super) lead: Lead,
    pub(super) kept: Kept,
}

/// What is kept of a pool as it is.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Kept {
    pub(super) name: String,
    /// The first look, `None` before it.
    pub(super) started: Option<Timestamp>,
    pub(super) learner: Learner,
    pub(super) timeline: Timeline,
    pub(super) jobs: JobLog,
    pub(super) scores: Scores,
    /// End of the next day to replay.
    pub(super) next_day: Timestamp,
    /// End of a day that is over and not replayed yet.
    pub(super) due_day: Option<Timestamp>,
    pub(super) shadow: Shadow,
    pub(super) ledger: Ledger,
    pub(super) flights: Flights,
    pub(super) back_off: BackOff,
    pub(super) steps: Steps,
    pub(super) ladder: Ladder,
    pub(super) promises: Promises,
    pub(super) drift: Drift,
    pub(super) mix: KappaMix,
    pub(super) demand: DemandClock,
    pub(super) last_create: Option<Timestamp>,
}

/// Which of the nodes on their way were asked for ahead of demand.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Flights {
    /// By node: ahead of demand.
    coming: BTreeMap<NodeId, bool>,
    /// Asked for and not seen yet: for waiting work, and ahead of demand.
    unseen: (u32, u32),
}

impl Flights {
    /// Nodes asked for become known in order: those for waiting work first. One that nobody asked for
    /// was somebody else's wish and counts as needed.
    pub(super) fn observe(&mut self, nodes: &[NodeSnapshot], was_refused: bool) {
        let before = std::mem::take(&mut self.coming);
        for node in nodes.iter().filter(|node| node.stage != NodeStage::Usable) {
            let is_speculative = before.get(&node.id).copied().unwrap_or_else(|| self.name());
            self.coming.insert(node.id, is_speculative);
        }
        if was_refused {
            self.unseen = (0, 0);
        }
    }

    fn name(&mut self) -> bool {
        if self.unseen.0 > 0 {
            self.unseen.0 -= 1;
            return false;
        }
        let is_speculative = self.unseen.1 > 0;
        self.unseen.1 -= u32::from(is_speculative);
        is_speculative
    }

    /// Nodes are asked for.
    pub(super) fn ask(&mut self, firm: u32, speculative: u32) {
        self.unseen.0 += firm;
        self.unseen.1 += speculative;
    }

    /// Nodes on their way for waiting work.
    pub(super) fn firm(&self) -> u32 {
        self.coming.values().filter(|is_speculative| !**is_speculative).count() as u32
    }

    pub(super) fn is_speculative(&self, node: NodeId) -> bool {
        self.coming.get(&node).copied().unwrap_or_default()
    }
}

/// Demand over time, as strategies are told it.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(super) struct DemandClock {
    at: Timestamp,
    milli: u64,
    /// Milli-GPU-milliseconds since the first look.
    pub(super) integral: i128,
}

impl DemandClock {
    pub(super) fn note(&mut self, now: Timestamp, milli: u64) {
        self.integral += i128::from(self.milli) * i128::from((now - self.at).0.max(0));
        (self.at, self.milli) = (now, milli);
    }
}

/// The kappa of a pool: that of its jobs, weighed by their GPUs, older ones ever less.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(super) struct KappaMix {
    at: Timestamp,
    weighed: f64,
    gpus: f64,
}

impl KappaMix {
    pub(super) fn note(&mut self, arrivals: &[Arrival], shapes: &[Shape], pool: &PoolSettings) {
        if pool.kappa.by_priority.is_empty() {
            return;
        }
        for arrival in arrivals {
            let Some(shape) = shapes.get(arrival.shape.0 as usize) else { continue };
            let age = (arrival.at - self.at).0.max(0) as f64;
            let fading = 0.5_f64.powf(age / MIX_HALF_LIFE.0 as f64);
            let gpus = arrival.gpu_milli as f64 / 1000.0;
            self.weighed = self.weighed * fading + gpus * pool.kappa.of(shape);
            self.gpus = self.gpus * fading + gpus;
            self.at = self.at.max(arrival.at);
        }
    }

    pub(super) fn kappa(&self, pool: &PoolSettings) -> f64 {
        if self.gpus > 0.0 { self.weighed / self.gpus } else { pool.kappa.default }
    }
}

/// The form in which a memory is kept.
#[derive(Serialize, Deserialize)]
struct KeptMemory {
    schema: String,
    /// Names of the candidates that scores are about.
    candidates: Vec<String>,
    pools: Vec<KeptPool>,
}

#[derive(Serialize, Deserialize)]
struct KeptPool {
    lead: KeptLead,
    kept: Kept,
}

/// Why a kept memory was refused.
#[derive(Debug, Error)]
pub enum DamagedMemory {
    /// No JSON, or a field is missing or of the wrong kind.
    #[error("not a kept memory: {0}")]
    Unreadable(#[from] serde_json::Error),
    /// Kept by another version.
    #[error("`schema` is `{0}`, this version keeps `{SCHEMA}`")]
    Version(String),
    /// The candidates are others.
    #[error("`candidates` differ: kept were {kept}, there are {known}")]
    Candidates {
        /// How many were kept.
        kept: usize,
        /// How many there are.
        known: usize,
    },
    /// Kept for other pools.
    #[error("`pools` are {kept:?}, the settings have {wanted:?}")]
    Pools {
        /// Names kept.
        kept: Vec<String>,
        /// Names in the settings.
        wanted: Vec<String>,
    },
    /// Scores of a pool.
    #[error("pool `{pool}`: {reason}")]
    Scores {
        /// Which pool.
        pool: String,
        /// What is wrong.
        reason: ScoresError,
    },
    /// Lead times of a pool.
    #[error("pool `{pool}`: lead time: {reason}")]
    Lead {
        /// Which pool.
        pool: String,
        /// What is wrong.
        reason: DamagedParts,
    },
}

impl Memory {
    /// Nothing is known yet.
    pub fn new(settings: &Settings) -> Self {
        let candidates: Arc<[Candidate]> = candidates().into();
        let pools = settings.pools.iter().map(|pool| PoolMemory::new(pool, &candidates)).collect();
        Self { candidates, pools }
    }

    /// The memory as one JSON document.
    ///
    /// # Errors
    /// Only if it has numbers that JSON does not know.
    pub fn keep(&self) -> Result<String, serde_json::Error> {
        let keep = |pool: &PoolMemory| KeptPool { lead: pool.lead.keep(), kept: pool.kept.clone() };
        serde_json::to_string(&KeptMemory {
            schema: SCHEMA.to_owned(),
            candidates: names(&self.candidates),
            pools: self.pools.iter().map(keep).collect(),
        })
    }

    /// The memory that was kept.
    ///
    /// # Errors
    /// [`DamagedMemory`] if it is of another version, of other pools, or damaged.
    pub fn restore(kept: &str, settings: &Settings) -> Result<Self, DamagedMemory> {
        let Version { schema } = serde_json::from_str(kept)?;
        if schema != SCHEMA {
            return Err(DamagedMemory::Version(schema));
        }
        let kept: KeptMemory = serde_json::from_str(kept)?;
        let candidates: Arc<[Candidate]> = candidates().into();
        if kept.candidates != names(&candidates) {
            let (kept, known) = (kept.candidates.len(), candidates.len());
            return Err(DamagedMemory::Candidates { kept, known });
        }
        let wanted: Vec<String> =
            settings.pools.iter().map(|pool| pool.pool.name.clone()).collect();
        let found: Vec<String> = kept.pools.iter().map(|pool| pool.kept.name.clone()).collect();
        if found != wanted {
            return Err(DamagedMemory::Pools { kept: found, wanted });
        }
        let pools = kept
            .pools
            .into_iter()
            .zip(&settings.pools)
            .map(|(kept, pool)| PoolMemory::restore(kept, pool, candidates.len()))
            .collect::<Result<_, _>>()?;
        Ok(Self { candidates, pools })
    }

    /// Learns from what happened before the first decision: jobs that came and went, in order of time.
    /// What a pool was like then is not known, so only demand is learned from.
    pub fn recall(&mut self, pool: usize, arrivals: &[Arrival], finishes: &[Finish]) {
        if let Some(memory) = self.pools.get_mut(pool) {
            memory.kept.learner.recall(arrivals, finishes);
        }
    }

    /// The account of speculation of a pool, and the node-milliseconds of its shadow.
    pub fn account(&self, pool: usize) -> Option<(&Ledger, i128)> {
        let kept = &self.pools.get(pool)?.kept;
        Some((&kept.ledger, kept.shadow.node_ms()))
    }

    /// What came of all forecasts of a pool.
    pub(crate) fn promises(&self, pool: usize) -> Option<&Totals> {
        Some(&self.pools.get(pool)?.kept.promises.totals)
    }

    /// The strategy a pool follows now.
    pub fn active(&self, pool: usize) -> Option<String> {
        let active = self.pools.get(pool)?.kept.scores.active();
        self.candidates.get(active).map(ToString::to_string)
    }
}

/// Only the version, so that another one is named before its fields are missed.
#[derive(Deserialize)]
struct Version {
    schema: String,
}

fn names(candidates: &[Candidate]) -> Vec<String> {
    candidates.iter().map(ToString::to_string).collect()
}

impl PoolMemory {
    fn new(settings: &PoolSettings, candidates: &[Candidate]) -> Self {
        let prior = prior_for(settings.kappa.default);
        let prior = candidates.iter().position(|other| *other == prior).unwrap_or_default();
        let kept = Kept {
            name: settings.pool.name.clone(),
            started: None,
            learner: Learner::default(),
            timeline: Timeline::new(),
            jobs: JobLog::default(),
            scores: Scores::new(settings.pinned.unwrap_or(prior), candidates.len()),
            next_day: Timestamp::NEVER,
            due_day: None,
            shadow: Shadow::new(Timestamp::ZERO),
            ledger: Ledger::new(Timestamp::ZERO, settings.ledger),
            flights: Flights::default(),
            back_off: BackOff::default(),
            steps: Steps::default(),
            ladder: Ladder::default(),
            promises: Promises::default(),
            drift: Drift::default(),
            mix: KappaMix::default(),
            demand: DemandClock::default(),
            last_create: None,
        };
        Self { lead: Lead::new(&settings.pool.lead_time), kept }
    }

    fn restore(
        kept: KeptPool,
        settings: &PoolSettings,
        candidates: usize,
    ) -> Result<Self, DamagedMemory> {
        let pool = || kept.kept.name.clone();
        let scores = kept.kept.scores.check(candidates);
        scores.map_err(|reason| DamagedMemory::Scores { pool: pool(), reason })?;
        let lead = Lead::restore(&settings.pool.lead_time, kept.lead)
            .map_err(|reason| DamagedMemory::Lead { pool: kept.kept.name.clone(), reason })?;
        Ok(Self { lead, kept: kept.kept })
    }
}
