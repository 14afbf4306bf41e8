//! What a new controller knows on its first day: jobs and nodes of the last weeks, from Prometheus.
//!
//! Read once after the start, and only if no earlier process kept a memory: what was kept is better. Nobody waits
//! for it: until it is there, the engine decides as one that knows nothing. It takes a bounded time, and a
//! Prometheus that is not there is told and done without.

use crate::{
    engine::{Memory, NodeStarted, Settings},
    history::{
        NodeLead, PoolRule, Recovered, Scrapes, Sight, Window, guess, node_lives, pod_lives,
        recover,
    },
    live::index::{Index, Seeds},
    model::{Arrival, Finish, OwnerId, Pool},
    prometheus::{At, Client, Query, ReadError, Reading, Wanted, answers, read, survey},
    promql::Series,
    time::{Millis, Timestamp},
};
use std::{sync::Arc, time::Duration};

/// It is given up then.
const PATIENCE: Duration = Duration::from_mins(10);
const DAY: Millis = Millis::from_hours(24);

/// Where the past is read from.
#[derive(Clone, Debug)]
pub struct PastSource {
    /// Prometheus.
    pub client: Arc<Client>,
    /// What is read.
    pub wanted: Wanted,
    /// How far back.
    pub since: Millis,
}

/// What happened in pools.
#[derive(Clone, Debug, Default)]
pub struct Past {
    /// Numbers that its jobs use.
    seeds: Seeds,
    pools: Vec<PoolPast>,
}

/// What happened in one pool, in order of time.
#[derive(Clone, Debug)]
struct PoolPast {
    rule: PoolRule,
    arrivals: Vec<Arrival>,
    finishes: Vec<Finish>,
    nodes: Vec<NodeStarted>,
}

/// The past, or a warning.
pub async fn recalled(source: &PastSource, now: Timestamp) -> Option<Past> {
    let (url, begun) = (source.client.url().clone(), tokio::time::Instant::now());
    match tokio::time::timeout(PATIENCE, past(source, now)).await {
        Ok(Ok(past)) => {
            let seconds = begun.elapsed().as_secs();
            tracing::info!(
                jobs = past.jobs(),
                nodes = past.nodes(),
                pools = past.pools.len(),
                seconds,
                "the past is known"
            );
            Some(past)
        }
        Ok(Err(error)) => {
            tracing::warn!(%url, %error, "the past cannot be read: learning starts anew");
            None
        }
        Err(_) => {
            let seconds = PATIENCE.as_secs();
            tracing::warn!(%url, seconds, "the past takes too long to read: learning starts anew");
            None
        }
    }
}

async fn past(source: &PastSource, now: Timestamp) -> Result<Past, ReadError> {
    let client = &source.client;
    let whole = Window { from: now - source.since, until: now };
    let found = survey(client, &source.wanted, whole).await?;
    let Some(window) = found.covered else { return Ok(Past::default()) };
    let reading = Reading { source: &found.source, window, piece: DAY, store: None };
    let (facts, remarks) = read(client, reading, &|_, _| true).await?;
    for (remark, queries) in remarks {
        tracing::warn!(%remark, queries, "reading the past");
    }
    let interval = found.source.interval;
    let mut looks: Vec<Series> = Vec::new();
    for piece in window.pieces(DAY.min(interval * 10_000)) {
        let text = Sight::Scraped.text(&found.source);
        let query = Query { text, at: At::Range(piece.from, piece.until, interval) };
        let answer = answers(client, &query, None).await;
        looks.extend(answer.map_err(|error| ReadError::Query { error, text: query.text })?.0);
    }
    let scrapes = Scrapes::new(&looks, interval);
    let pods = pod_lives(&facts, &scrapes);
    let nodes = node_lives(&facts, &scrapes, window);
    let rules = guess(&nodes);
    let recovered = recover(&pods, &nodes, &rules, window, interval);
    Ok(Past::of(&recovered, &rules, window))
}

impl Past {
    /// The jobs of a trace by the pool they ran in. Those that still ran at the end have none here: the first
    /// look sees them.
    fn of(recovered: &Recovered, rules: &[PoolRule], window: Window) -> Self {
        let trace = &recovered.trace;
        let leads = recovered.leads.iter().map(|leads| leads.nodes.iter().map(started).collect());
        let pool = |(rule, nodes): (&PoolRule, Vec<NodeStarted>)| PoolPast {
            rule: rule.clone(),
            arrivals: Vec::new(),
            finishes: Vec::new(),
            nodes,
        };
        let mut past = Self {
            seeds: Seeds {
                shapes: trace.shapes.clone(),
                next_job: trace.jobs.len() as u32,
                next_node: 0,
                next_owner: trace.owners.len() as u32,
            },
            pools: rules.iter().zip(leads).map(pool).collect(),
        };
        let since = window.from - Timestamp::ZERO;
        for (number, job) in (0..).zip(&trace.jobs) {
            let shape = trace.shape(job);
            let model = shape.gpu_models.first();
            let place = model.and_then(|model| rules.iter().position(|rule| rule.name == *model));
            let Some(pool) = past.pools.get_mut(place.unwrap_or(0)) else { break };
            let at = job.submit + since;
            pool.arrivals.push(Arrival {
                job: number,
                at,
                shape: job.shape,
                owner: job.owner,
                gpu_milli: shape.demand_milli(),
                is_running: false,
            });
            if at + job.duration < window.until {
                pool.finishes.push(Finish { job: number, started: at, at: at + job.duration });
            }
        }
        for pool in &mut past.pools {
            pool.finishes.sort_by_key(|finish| (finish.at, finish.job));
        }
        past
    }

    /// All jobs.
    pub fn jobs(&self) -> usize {
        self.pools.iter().map(|pool| pool.arrivals.len()).sum()
    }

    /// All nodes that told how long they took.
    pub fn nodes(&self) -> usize {
        self.pools.iter().map(|pool| pool.nodes.len()).sum()
    }

    /// The same in the numbers of the index, which are in use already.
    #[must_use]
    pub fn numbered(mut self, index: &mut Index) -> Self {
        let numbers = index.adopt(&self.seeds);
        for pool in &mut self.pools {
            for arrival in &mut pool.arrivals {
                arrival.job = arrival.job.wrapping_add(numbers.first_job);
                arrival.owner = OwnerId(arrival.owner.0.wrapping_add(numbers.first_owner));
                if let Some(&shape) = numbers.shapes.get(arrival.shape.0 as usize) {
                    arrival.shape = shape;
                }
            }
            for finish in &mut pool.finishes {
                finish.job = finish.job.wrapping_add(numbers.first_job);
            }
        }
        self
    }

    /// Tells a memory; how many pools have a past.
    pub fn tell(&self, memory: &mut Memory, settings: &Settings) -> usize {
        let mut told = 0;
        for (place, pool) in settings.pools.iter().enumerate() {
            let of = self.pools.iter().find(|past| is_of(&past.rule, &pool.pool));
            if let Some(past) = of.filter(|past| !past.arrivals.is_empty()) {
                memory.recall(place, &past.arrivals, &past.finishes, &past.nodes);
                told += 1;
            }
        }
        told
    }
}

/// A node's stages as the engine knows them.
fn started(node: &NodeLead) -> NodeStarted {
    let provisioning = node.boot.map(|boot| boot + node.ready);
    NodeStarted { usable: node.usable, provisioning, warm_up: node.warm_up }
}

/// Whether a pool's nodes are those of a rule: of its size, with its labels.
fn is_of(rule: &PoolRule, pool: &Pool) -> bool {
    let has = |(name, value): &(String, String)| {
        pool.labels.iter().any(|(key, found)| found == value && PoolRule::written(key) == *name)
    };
    rule.gpus == pool.gpus_per_node && rule.labels.iter().all(has)
}
