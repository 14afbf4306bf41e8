//! What is read, and what it amounts to.

use super::{
    super::progress::{Bar, interrupted},
    midnight, missing,
};
use crate::{
    history::{
        AskedFor, Facts, GpuMetric, LeadSamples, NodeLife, PodLife, PoolRule, Recovered, Scrapes,
        Sight, Window, asked_for, assign, guess, node_lives, pod_lives, recover,
    },
    model::{MAX_NODES, Pool},
    prometheus::{
        At, Client, Query, ReadError, Reading, Settings, Store, Survey, Wanted, answers, read,
        survey,
    },
    promql::{Remark, Series},
    sim::watch::Watch,
    time::{Millis, Timestamp},
};
use anyhow::bail;
use futures::{StreamExt, stream};
use jiff::tz::TimeZone;
use std::collections::BTreeMap;

/// What is asked for.
pub(super) struct Asked<'a> {
    pub(super) wanted: Wanted,
    pub(super) window: Window,
    pub(super) chunk: Millis,
    pub(super) zone: &'a TimeZone,
    pub(super) store: Option<&'a dyn Store>,
}

/// How reading ended.
pub(super) enum Gathered {
    Read(Box<Read>),
    /// There is nothing to read; a page that says what to do.
    Nothing(String),
    Interrupted,
}

/// What was read.
pub(super) struct Read {
    pub(super) survey: Survey,
    /// From the midnight before the first scrape, if that is later than what was asked for.
    pub(super) window: Window,
    pub(super) asked: Window,
    pub(super) facts: Facts,
    pub(super) scrapes: Scrapes,
    /// Sizes of MachineDeployments over time.
    pub(super) sizes: Vec<Series>,
    /// GPU-hours asked for, as the sum over all pods at each instant says.
    pub(super) demand: Option<f64>,
    pub(super) remarks: BTreeMap<Remark, u64>,
}

/// Looks what is there, then reads it.
pub(super) async fn all(client: &Client, asked: &Asked<'_>) -> anyhow::Result<Gathered> {
    let found = tokio::select! {
        found = survey(client, &asked.wanted, asked.window) => found?,
        () = until_interrupted() => return Ok(Gathered::Interrupted),
    };
    if !missing::is_enough(&found, &asked.wanted) {
        return Ok(Gathered::Nothing(missing::page(client, &found, asked.window)));
    }
    let mut remarks = found.remarks.clone();
    let looks = tokio::select! {
        looks = scrapes(client, &found, asked, &mut remarks) => looks?,
        () = until_interrupted() => return Ok(Gathered::Interrupted),
    };
    let demand = tokio::select! {
        demand = demand(client, &found, asked, &mut remarks) => demand?,
        () = until_interrupted() => return Ok(Gathered::Interrupted),
    };
    let sizes = tokio::select! {
        sizes = sizes(client, &found, asked, &mut remarks) => sizes?,
        () = until_interrupted() => return Ok(Gathered::Interrupted),
    };
    let window = covered(&looks, asked);
    let bar = Bar::new("reading");
    let go_on = |done: usize, of: usize| {
        bar.advanced(done as u64, of as u64);
        !interrupted()
    };
    let reading = Reading { source: &found.source, window, piece: asked.chunk, store: asked.store };
    let (facts, said) = match read(client, reading, &go_on).await {
        Ok(read) => read,
        Err(ReadError::Interrupted) => return Ok(Gathered::Interrupted),
        Err(error) => return Err(error.into()),
    };
    for (remark, times) in said {
        *remarks.entry(remark).or_default() += times;
    }
    let (survey, asked_window) = (found, asked.window);
    let read =
        Read { survey, window, asked: asked_window, facts, scrapes: looks, sizes, demand, remarks };
    if read.facts.pods() == 0 {
        return Ok(Gathered::Nothing(missing::page(client, &read.survey, asked.window)));
    }
    Ok(Gathered::Read(Box::new(read)))
}

async fn until_interrupted() {
    while !interrupted() {
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
}

/// A figure of the whole cluster over time, asked for day by day so that the answers can be kept.
async fn sight(
    client: &Client,
    sight: Sight,
    step: Millis,
    found: &Survey,
    asked: &Asked<'_>,
    remarks: &mut BTreeMap<Remark, u64>,
) -> Result<Vec<Series>, ReadError> {
    let text = sight.text(&found.source);
    // A piece has at most 10,000 points.
    let piece = (step * 10_000).min(Millis::from_hours(24));
    let queries = asked.window.pieces(piece).into_iter().map(|window| {
        let at = At::Range(window.from + step, window.until, step);
        Query { text: text.clone(), at }
    });
    let answers = queries.map(|query| async move {
        let answer = answers(client, &query, asked.store).await;
        answer.map_err(|error| ReadError::Query { error, text: query.text })
    });
    let mut answers = stream::iter(answers).buffered(Settings::PARALLEL);
    let mut series: Vec<Series> = Vec::new();
    while let Some(answer) = answers.next().await {
        let (some, said) = answer?;
        series.extend(some);
        for remark in said {
            *remarks.entry(remark).or_default() += 1;
        }
    }
    Ok(series)
}

/// The instants of all scrapes.
async fn scrapes(
    client: &Client,
    found: &Survey,
    asked: &Asked<'_>,
    remarks: &mut BTreeMap<Remark, u64>,
) -> Result<Scrapes, ReadError> {
    let step = found.source.interval;
    let series = sight(client, Sight::Scraped, step, found, asked, remarks).await?;
    Ok(Scrapes::new(&series, step))
}

/// The GPU-hours that the metrics show to have been asked for, to check the pods against; only of
/// kube-state-metrics.
async fn demand(
    client: &Client,
    found: &Survey,
    asked: &Asked<'_>,
    remarks: &mut BTreeMap<Remark, u64>,
) -> Result<Option<f64>, ReadError> {
    if found.source.metric == GpuMetric::Scheduler {
        return Ok(None);
    }
    let step = found.source.interval.max(Millis::from_mins(5));
    let series = sight(client, Sight::Demand, step, found, asked, remarks).await?;
    let gpus: f64 = series.iter().flat_map(Series::finite).map(|point| point.value).sum();
    Ok(Some(gpus * step.as_hours()))
}

/// How many nodes MachineDeployments were asked for. Sizes that are held for a shorter time than the step may be
/// missed.
async fn sizes(
    client: &Client,
    found: &Survey,
    asked: &Asked<'_>,
    remarks: &mut BTreeMap<Remark, u64>,
) -> Result<Vec<Series>, ReadError> {
    if !found.found.has("capi_machinedeployment_spec_replicas") {
        return Ok(Vec::new());
    }
    let step = found.source.interval.max(Millis::from_mins(2));
    sight(client, Sight::AskedFor, step, found, asked, remarks).await
}

/// The window from the midnight before the first scrape on.
fn covered(scrapes: &Scrapes, asked: &Asked<'_>) -> Window {
    let first = scrapes.after(Timestamp(i64::MIN)).unwrap_or(asked.window.from);
    let from = midnight(first, asked.zone).max(asked.window.from);
    Window { from, ..asked.window }
}

/// What was read, as lives and as a trace.
pub(super) struct History {
    pub(super) pods: Vec<PodLife>,
    pub(super) recovered: Recovered,
    /// What MachineDeployments were asked for.
    pub(super) asked_for: Vec<AskedFor>,
    pub(super) is_guessed: bool,
}

impl History {
    pub(super) fn of(read: &Read, rules: &[PoolRule]) -> anyhow::Result<Self> {
        let pods = pod_lives(&read.facts, &read.scrapes);
        let nodes: Vec<NodeLife> = node_lives(&read.facts, &read.scrapes, read.window);
        if nodes.is_empty() {
            bail!(
                "there are pods that ask for {}, but no node that has it: is kube_node_status_allocatable \
                 kept, and do nodes with GPUs exist in this time?",
                read.survey.source.resource
            );
        }
        let is_guessed = rules.is_empty();
        let rules = if is_guessed { guess(&nodes) } else { rules.to_vec() };
        let mut recovered = recover(&pods, &nodes, &rules, read.window, read.scrapes.interval);
        let asked_for = asked_for(&read.sizes, &nodes, &assign(&rules, &nodes), read.window);
        widen(&mut recovered.pools, &asked_for);
        let without: Vec<&str> = rules
            .iter()
            .zip(&recovered.node_counts)
            .filter(|(_, nodes)| **nodes == 0)
            .map(|(rule, _)| rule.name.as_str())
            .collect();
        if !without.is_empty() {
            let there: Vec<String> = guess(&nodes).iter().map(ToString::to_string).collect();
            bail!(
                "--pool: no node belongs to {}; what there is: --pool {}",
                without.join(", "),
                there.join(" --pool ")
            );
        }
        if recovered.trace.jobs.is_empty() {
            bail!("no pod with GPUs ever ran in this time, so there is nothing to simulate");
        }
        Ok(Self { pods, recovered, asked_for, is_guessed })
    }
}

/// Limits reach as far as nodes were asked for, whether they came or not.
fn widen(pools: &mut [Pool], asked_for: &[AskedFor]) {
    for (place, pool) in pools.iter_mut().enumerate() {
        let of_pool = || asked_for.iter().filter(|asked| asked.pool == place);
        if of_pool().next().is_some() {
            pool.min_nodes = pool.min_nodes.min(of_pool().map(|asked| asked.least).sum());
            let most: u32 = of_pool().map(|asked| asked.most).sum();
            pool.max_nodes = pool.max_nodes.map(|known| known.max(most).min(MAX_NODES));
        }
    }
}

/// How many nodes told how long they take, of how many the request is known, and of how many of these by their
/// Machine.
pub(super) fn told(leads: &LeadSamples) -> (usize, usize, usize) {
    (leads.warm_up.len(), leads.boot.len(), leads.of_machines)
}
