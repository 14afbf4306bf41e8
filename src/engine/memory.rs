//! What the engine remembers from one decision to the next.
//!
//! All of it is bounded: events by age and number, jobs by age and number, scores by days, tables by their
//! bins. It can be kept as JSON and restored; one that was kept by another version, for other pools or
//! with numbers that cannot be is refused with a reason, and a new one is built from history instead
//! ([`Memory::new`], then [`Memory::recall`]).

mod sound;

use super::{
    lead::{KeptLead, Lead, NodeStarted},
    promise::{Promises, Totals},
    settings::{PoolSettings, Settings},
    signals::Signals,
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
use std::{
    collections::BTreeMap,
    io::{self, Write},
    sync::Arc,
};
use thiserror::Error;

/// Name and version of the kept form.
pub const SCHEMA: &str = "prewarm.memory/v1";

/// Half-life of what jobs of the past weigh in the pool's kappa.
const MIX_HALF_LIFE: Millis = Millis::from_hours(14 * 24);

/// The memory of all pools.
#[derive(Clone, Debug)]
pub struct Memory {
    pub(super) pools: Vec<PoolMemory>,
}

/// The memory of one pool.
#[derive(Clone, Debug)]
pub(super) struct PoolMemory {
    /// What there is to choose from.
    pub(super) candidates: Arc<[Candidate]>,
    gpus_per_node: u32,
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
    #[serde(default, skip_serializing_if = "Signals::is_empty")]
    pub(super) signals: Signals,
}

/// Which of the nodes on their way were asked for ahead of demand.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Flights {
    /// By node: ahead of demand.
    coming: BTreeMap<NodeId, bool>,
    /// Asked for and not seen yet, oldest first.
    unseen: Vec<Ask>,
}

/// Nodes asked for at one look.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Ask {
    at: Timestamp,
    /// For waiting work.
    firm: u32,
    /// Ahead of demand.
    speculative: u32,
}

impl Flights {
    /// Nodes asked for become known in order: those for waiting work first. One that nobody asked for
    /// was somebody else's wish and counts as needed. What was asked for before `seen_at`, the instant
    /// of what is seen, and is not there will not come.
    pub(super) fn observe(
        &mut self,
        nodes: &[NodeSnapshot],
        seen_at: Timestamp,
        was_refused: bool,
    ) {
        let before = std::mem::take(&mut self.coming);
        for node in nodes.iter().filter(|node| node.stage != NodeStage::Usable) {
            let is_speculative = before.get(&node.id).copied().unwrap_or_else(|| self.name());
            self.coming.insert(node.id, is_speculative);
        }
        self.unseen.retain(|ask| ask.at >= seen_at && !was_refused);
    }

    fn name(&mut self) -> bool {
        let open = |ask: &&mut Ask| ask.firm > 0 || ask.speculative > 0;
        let Some(ask) = self.unseen.iter_mut().find(open) else { return false };
        let is_speculative = ask.firm == 0;
        let left = if is_speculative { &mut ask.speculative } else { &mut ask.firm };
        *left -= 1;
        is_speculative
    }

    /// Nodes are asked for.
    pub(super) fn ask(&mut self, at: Timestamp, firm: u32, speculative: u32) {
        if firm > 0 || speculative > 0 {
            self.unseen.push(Ask { at, firm, speculative });
        }
    }

    /// Nodes on their way for waiting work.
    pub(super) fn firm(&self) -> u32 {
        let seen = self.coming.values().filter(|is_speculative| !**is_speculative).count() as u32;
        self.unseen.iter().fold(seen, |sum, ask| sum.saturating_add(ask.firm))
    }

    /// Nodes asked for since what is seen was seen, and those of them that were ahead of demand.
    pub(super) fn unseen(&self) -> (u32, u32) {
        self.unseen.iter().fold((0, 0), |(all, ahead): (u32, u32), ask| {
            let of_ask = ask.firm.saturating_add(ask.speculative);
            (all.saturating_add(of_ask), ahead.saturating_add(ask.speculative))
        })
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
    /// Of `pools`, see [`digest`].
    digest: String,
    pools: Vec<KeptPool>,
}

#[derive(Serialize, Deserialize)]
struct KeptPool {
    /// Names of the candidates that scores are about.
    candidates: Vec<String>,
    /// The pool's GPUs per node: nodes of another size make what was learned worthless.
    gpus_per_node: u32,
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
    #[error("pool `{pool}`: `candidates` differ: {kept} was kept where {known} is known")]
    Candidates {
        /// Which pool.
        pool: String,
        /// The first kept name that differs.
        kept: String,
        /// What stands in its place.
        known: String,
    },
    /// Kept for other pools.
    #[error("`pools` are {kept:?}, the settings have {wanted:?}")]
    Pools {
        /// Names kept.
        kept: Vec<String>,
        /// Names in the settings.
        wanted: Vec<String>,
    },
    /// The numbers are not those that were kept: a bit flipped, or somebody wrote in it.
    #[error("`digest` is {kept}, the content has {found}")]
    Digest {
        /// As kept.
        kept: String,
        /// Of the content.
        found: String,
    },
    /// Kept for nodes of another size.
    #[error("pool `{pool}`: kept for nodes of {kept} GPUs, now they have {wanted}")]
    NodeSize {
        /// Which pool.
        pool: String,
        /// GPUs per node then.
        kept: u32,
        /// GPUs per node in the settings.
        wanted: u32,
    },
    /// Scores of a pool.
    #[error("pool `{pool}`: {reason}")]
    Scores {
        /// Which pool.
        pool: String,
        /// What is wrong.
        reason: ScoresError,
    },
    /// Numbers that no pool comes to, or parts that do not belong together.
    #[error("pool `{pool}`: `{field}` has numbers that cannot be")]
    Absurd {
        /// Which pool.
        pool: String,
        /// What holds them.
        field: &'static str,
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
        Self { pools: settings.pools.iter().map(PoolMemory::new).collect() }
    }

    /// The memory as one JSON document.
    ///
    /// # Errors
    /// Only if it has numbers that JSON does not know.
    pub fn keep(&self) -> Result<String, serde_json::Error> {
        let keep = |pool: &PoolMemory| KeptPool {
            candidates: names(&pool.candidates),
            gpus_per_node: pool.gpus_per_node,
            lead: pool.lead.keep(),
            kept: pool.kept.clone(),
        };
        let pools: Vec<KeptPool> = self.pools.iter().map(keep).collect();
        serde_json::to_string(&KeptMemory {
            schema: SCHEMA.to_owned(),
            digest: digest(&pools)?,
            pools,
        })
    }

    /// The memory that was kept.
    ///
    /// # Errors
    /// [`DamagedMemory`] if it is of another version, of other pools, or damaged.
    pub fn restore(kept: &str, settings: &Settings) -> Result<Self, DamagedMemory> {
        let kept = read_kept(kept)?;
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
            .map(|(kept, pool)| PoolMemory::restore(kept, pool))
            .collect::<Result<_, _>>()?;
        Ok(Self { pools })
    }

    /// What of a kept memory fits: each pool of the settings gets back what was kept under its name, or
    /// starts anew where nothing was, or what was is refused; why is told. Made for a new process: what was
    /// learned is kept; what is about single nodes and jobs, which that process numbers anew, is not.
    ///
    /// # Errors
    /// [`DamagedMemory`] if the document as a whole is of another version or damaged.
    pub fn recover(
        kept: &str,
        settings: &Settings,
        now: Timestamp,
    ) -> Result<(Self, Vec<DamagedMemory>), DamagedMemory> {
        let mut kept = read_kept(kept)?.pools;
        let mut refused = Vec::new();
        let pools = settings.pools.iter().map(|pool| {
            let place = kept.iter().position(|kept| kept.kept.name == pool.pool.name);
            let restored = place.map(|place| PoolMemory::restore(kept.swap_remove(place), pool));
            match restored {
                Some(Ok(memory)) => memory.resumed(now),
                Some(Err(reason)) => {
                    refused.push(reason);
                    PoolMemory::new(pool)
                }
                None => PoolMemory::new(pool),
            }
        });
        let memory = Self { pools: pools.collect() };
        Ok((memory, refused))
    }

    /// Follows settings that have changed: pools that are still there, with nodes of the same size and the
    /// same candidates, keep what was learned; others start anew.
    pub fn follow(&mut self, settings: &Settings) {
        let before = std::mem::take(&mut self.pools);
        let mut before: BTreeMap<String, PoolMemory> =
            before.into_iter().map(|pool| (pool.kept.name.clone(), pool)).collect();
        let follow = |pool: &PoolSettings| {
            let fresh = PoolMemory::new(pool);
            let kept = before.remove(&pool.pool.name);
            let fits = |kept: &PoolMemory| {
                kept.gpus_per_node == fresh.gpus_per_node && kept.candidates == fresh.candidates
            };
            let mut memory = kept.filter(fits).unwrap_or(fresh);
            memory.kept.ledger.set(pool.ledger);
            memory
        };
        self.pools = settings.pools.iter().map(follow).collect();
    }

    /// Learns from what happened before the first look: jobs that came and went, and nodes that came, each in
    /// order of time. What a pool was like then is not known, so only demand and lead times are learned from.
    /// It is no part of a decision: a decision log begins anew after it.
    pub fn recall(
        &mut self,
        pool: usize,
        arrivals: &[Arrival],
        finishes: &[Finish],
        nodes: &[NodeStarted],
    ) {
        if let Some(memory) = self.pools.get_mut(pool) {
            memory.kept.learner.recall(arrivals, finishes);
            memory.lead.recall(nodes);
            memory.kept.signals.study_again();
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
        let memory = self.pools.get(pool)?;
        memory.candidates.get(memory.kept.scores.active()).map(ToString::to_string)
    }
}

/// Reads a document of this version that is as it was kept.
fn read_kept(kept: &str) -> Result<KeptMemory, DamagedMemory> {
    let Version { schema } = serde_json::from_str(kept)?;
    if schema != SCHEMA {
        return Err(DamagedMemory::Version(schema));
    }
    let kept: KeptMemory = serde_json::from_str(kept)?;
    let digest = digest(&kept.pools)?;
    if digest != kept.digest {
        return Err(DamagedMemory::Digest { kept: kept.digest, found: digest });
    }
    Ok(kept)
}

/// Only the version, so that another one is named before its fields are missed.
#[derive(Deserialize)]
struct Version {
    schema: String,
}

/// A digest of pools as they are kept: what was parsed is written again and hashed, so that layout does
/// not matter and every number does. It guards against damage, not against forgers.
///
/// # Source
/// FNV-1a, 64 bits (Fowler, Noll, Vo).
fn digest(pools: &[KeptPool]) -> Result<String, serde_json::Error> {
    let mut hash = Fnv(0xCBF2_9CE4_8422_2325);
    serde_json::to_writer(&mut hash, pools)?;
    Ok(format!("{:016x}", hash.0))
}

struct Fnv(u64);

impl Write for Fnv {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        for &byte in bytes {
            self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01B3);
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn names(candidates: &[Candidate]) -> Vec<String> {
    candidates.iter().map(ToString::to_string).collect()
}

/// The first names that differ; `nothing` where one list has ended.
fn first_difference(kept: &[String], known: &[String]) -> Option<(String, String)> {
    let place = (0..kept.len().max(known.len())).find(|&at| kept.get(at) != known.get(at))?;
    let name = |names: &[String]| {
        names.get(place).map_or_else(|| "nothing".to_owned(), |name| format!("`{name}`"))
    };
    Some((name(kept), name(known)))
}

impl PoolMemory {
    fn new(settings: &PoolSettings) -> Self {
        let candidates = candidates(settings.kappa.default);
        let prior = prior_for(settings.kappa.default);
        let prior = candidates.iter().position(|other| *other == prior).unwrap_or_default();
        let pinned = settings.pinned.filter(|&pinned| pinned < candidates.len());
        let mut signals = Signals::default();
        signals.follow(&settings.signals);
        let kept = Kept {
            name: settings.pool.name.clone(),
            started: None,
            learner: Learner::calibrating(&candidates),
            timeline: Timeline::new(),
            jobs: JobLog::default(),
            scores: Scores::new(pinned.unwrap_or(prior), candidates.len()),
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
            signals,
        };
        let lead = Lead::new(&settings.pool.lead_time);
        let gpus_per_node = settings.pool.gpus_per_node;
        Self { candidates: candidates.into(), gpus_per_node, lead, kept }
    }

    /// What a new process goes on with.
    fn resumed(mut self, now: Timestamp) -> Self {
        let kept = &mut self.kept;
        kept.shadow = Shadow::new(now);
        kept.ledger = kept.ledger.resumed(now);
        kept.flights = Flights::default();
        kept.steps = Steps::default();
        kept.demand = DemandClock { at: now, milli: 0, integral: kept.demand.integral };
        kept.last_create = None;
        self.lead.forget_nodes();
        self
    }

    fn restore(kept: KeptPool, settings: &PoolSettings) -> Result<Self, DamagedMemory> {
        let KeptPool { candidates: named, gpus_per_node, lead, kept } = kept;
        let (pool, wanted) = (kept.name.clone(), settings.pool.gpus_per_node);
        if gpus_per_node != wanted {
            return Err(DamagedMemory::NodeSize { pool, kept: gpus_per_node, wanted });
        }
        let candidates: Arc<[Candidate]> = candidates(settings.kappa.default).into();
        if let Some((kept, known)) = first_difference(&named, &names(&candidates)) {
            return Err(DamagedMemory::Candidates { pool, kept, known });
        }
        if let Err(reason) = kept.scores.check(candidates.len()) {
            return Err(DamagedMemory::Scores { pool, reason });
        }
        if let Some(field) = sound::absurd(&kept, gpus_per_node, &candidates) {
            return Err(DamagedMemory::Absurd { pool, field });
        }
        let lead = Lead::restore(&settings.pool.lead_time, lead)
            .map_err(|reason| DamagedMemory::Lead { pool, reason })?;
        Ok(Self { candidates, gpus_per_node, lead, kept })
    }
}
