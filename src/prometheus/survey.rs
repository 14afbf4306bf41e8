//! What a Prometheus has of what is needed, how its labels are called, and how often it looks.

use super::{At, Client, Query, QueryError, ReadError, answers};
use crate::{
    history::{Discovery, GpuMetric, Names, Source, Window, needs},
    promql::{Labels, Remark, Series},
    time::{Millis, Timestamp},
};
use std::collections::BTreeMap;

/// Resources that are likely GPUs, as either metric writes them.
const GPU_LIKE: &str = r#"resource=~".+[._]com[/_](gpu|mig[-_]).*""#;
const DAY: Millis = Millis::from_hours(24);

/// What was found.
#[derive(Clone, Debug)]
pub struct Survey {
    /// Series by metric, in the last day with any.
    pub found: Discovery,
    /// How to ask for more.
    pub source: Source,
    /// The part of the window in which there is something, at day's precision; `None` = nowhere.
    pub covered: Option<Window>,
    /// What the server said besides.
    pub remarks: BTreeMap<Remark, u64>,
}

/// What the user says about the source.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    /// Where pods' GPUs are read from.
    pub metric: GpuMetric,
    /// Regular expression of resources; `None` = NVIDIA's GPUs, or AMD's if there are only these.
    pub resource: Option<String>,
}

/// Looks what is there in a window.
pub async fn survey(client: &Client, wanted: &Wanted, window: Window) -> Result<Survey, ReadError> {
    let mut asker = Asker { client, remarks: BTreeMap::new() };
    let covered = asker.covered(wanted.metric, window).await?;
    let at = covered.map_or(window.until, |covered| covered.until);
    let found = asker.discovery(wanted.metric, covered.unwrap_or(window), at).await?;
    let names = asker.names(wanted.metric, at).await?;
    let interval = asker.interval(at).await?;
    let resource = wanted.resource.clone().unwrap_or_else(|| usual(&found, wanted.metric));
    let source = Source { names, resource, metric: wanted.metric, interval };
    Ok(Survey { found, source, covered, remarks: asker.remarks })
}

/// The usual resource, or the one that is there instead.
fn usual(found: &Discovery, metric: GpuMetric) -> String {
    let names = match metric {
        GpuMetric::KubeStateMetrics => ["nvidia_com_gpu", "amd_com_gpu"],
        GpuMetric::Scheduler => ["nvidia.com/gpu", "amd.com/gpu"],
    };
    let known = names.into_iter().find(|name| found.resources.contains_key(*name));
    known.unwrap_or(names[0]).replace('.', "\\.")
}

struct Asker<'a> {
    client: &'a Client,
    remarks: BTreeMap<Remark, u64>,
}

impl Asker<'_> {
    async fn series(&mut self, text: String, at: At) -> Result<Vec<Series>, ReadError> {
        let query = Query { text, at };
        let (series, remarks) = match answers(self.client, &query, None).await {
            Ok(answer) => answer,
            // A metric that is too much to count is there.
            Err(QueryError::TooHeavy(_) | QueryError::TooLarge(_)) => {
                (vec![Series::default()], Vec::new())
            }
            Err(error) => return Err(ReadError::Query { error, text: query.text }),
        };
        for remark in remarks {
            *self.remarks.entry(remark).or_default() += 1;
        }
        Ok(series)
    }

    /// From the first to the last day in which nodes or pods with GPUs were seen.
    async fn covered(
        &mut self,
        metric: GpuMetric,
        window: Window,
    ) -> Result<Option<Window>, ReadError> {
        let metric = metric.name();
        let text = format!("count(last_over_time({metric}[1d]))");
        let first = window.until.min(window.from + DAY);
        let days = self.series(text, At::Range(first, window.until, DAY)).await?;
        let points: Vec<Timestamp> = days.iter().flat_map(Series::finite).map(|p| p.at).collect();
        let (Some(&first), Some(&last)) = (points.first(), points.last()) else {
            // The window may end within a day.
            let text = format!("count(last_over_time({metric}[1d]))");
            let there = !self.series(text, At::Instant(window.until)).await?.is_empty();
            return Ok(there.then_some(window));
        };
        let from = window.from.max(first - DAY);
        // The last step may lie up to a day before the end.
        let until = if last + DAY > window.until { window.until } else { last };
        Ok(Some(Window { from, until }))
    }

    async fn discovery(
        &mut self,
        metric: GpuMetric,
        window: Window,
        at: Timestamp,
    ) -> Result<Discovery, ReadError> {
        let mut found = Discovery::default();
        for need in needs(metric) {
            let text = format!("count(last_over_time({}[1d]))", need.metric);
            let count = self.series(text, At::Instant(at)).await?;
            if let Some(series) = count.first() {
                found.series.insert(need.metric.to_owned(), series.last().unwrap_or(1.0) as u64);
            }
        }
        let metric = metric.name();
        let text = format!("count by (resource) (last_over_time({metric}{{{GPU_LIKE}}}[1d]))");
        let first = window.until.min(window.from + DAY);
        for series in self.series(text, At::Range(first, window.until, DAY)).await? {
            let pods = series.finite().map(|point| point.value as u64).max().unwrap_or(0);
            found.resources.insert(series.label("resource").to_owned(), pods);
        }
        Ok(found)
    }

    /// One series tells how its labels are called.
    async fn names(&mut self, metric: GpuMetric, at: Timestamp) -> Result<Names, ReadError> {
        let text = format!("topk(1, last_over_time({}[1d]))", metric.name());
        let series = self.series(text, At::Instant(at)).await?;
        let of_pods = Names::of(series.first().map_or(&Labels::new(), |series| &series.labels));
        let series = self
            .series("topk(1, last_over_time(kube_node_created[1d]))".to_owned(), At::Instant(at));
        let node = series
            .await?
            .first()
            .map_or_else(|| of_pods.node.clone(), |node| Names::of(&node.labels).node);
        Ok(Names { node, ..of_pods })
    }

    /// The usual time between two samples of a series.
    async fn interval(&mut self, at: Timestamp) -> Result<Millis, ReadError> {
        const USUAL: Millis = Millis::from_secs(60);
        let last = self
            .series(
                "max(max_over_time(timestamp(kube_node_created)[1d:5m]))".to_owned(),
                At::Instant(at),
            )
            .await?;
        let Some(last) = last.first().and_then(Series::last) else { return Ok(USUAL) };
        let last = Timestamp((last * 1000.0) as i64);
        let samples = self.series("kube_node_created[20m]".to_owned(), At::Instant(last)).await?;
        let mut steps: Vec<i64> = samples
            .iter()
            .flat_map(|series| series.points.windows(2).map(|pair| (pair[1].at - pair[0].at).0))
            .collect();
        steps.sort_unstable();
        let step = steps.get(steps.len() / 2).copied().unwrap_or(USUAL.0);
        // To full seconds: scrapes are not that exact.
        Ok(Millis(((step + 500) / 1000).max(1) * 1000))
    }
}
