//! `prewarm backtest`: the last weeks of a cluster, read from its Prometheus, under other policies.

mod caveats;
mod gather;
mod missing;

use super::{
    Ending,
    answer_cache::AnswerCache,
    complain, file,
    import::write_trace,
    progress::{Bar, interrupted},
    prometheus_flags::PrometheusFlags,
    say,
    simulate::{self, Output},
    trace_flags,
    values::{self, ScoreFrom},
};
use crate::{
    history::{GpuMetric, PoolRule, Window, actual},
    model::{MAX_NODES, Pool, StageTime},
    prometheus::{Store, Wanted},
    sim::{
        compare::{Comparison, compare},
        past::Past,
        policy::PolicySpec,
        report::{PolicyPictures, Report},
    },
    time::{Millis, Timestamp},
    world::{Placement, Setup},
};
use anyhow::{Context, bail};
use gather::{Asked, Gathered, History, Read};
use jiff::tz::TimeZone;
use std::path::PathBuf;

/// Ask Prometheus what happened in the last weeks, and simulate what other policies would have done.
///
/// Nothing is installed and nothing is written in the cluster: pods and nodes are read from the metrics of
/// kube-state-metrics (or kube-scheduler), by at most four queries at once. The first row of the table, `actual`,
/// is what really happened.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  prewarm backtest --prometheus http://localhost:9090
  prewarm backtest --prometheus https://thanos.example --since 60d --cache ./answers --report report.html
  prewarm backtest --prometheus http://localhost:9090 --pool a100=8:cluster-api/accelerator=a100 \\
      --gpu-hour-price 2.5 --save-trace jobs.csv.gz")]
pub(super) struct Args {
    /// URL of Prometheus, Thanos, Mimir or VictoriaMetrics, up to where /api/v1 begins
    #[arg(long, value_name = "URL")]
    prometheus: String,
    #[command(flatten)]
    access: PrometheusFlags,
    /// How far back; begins at a midnight
    #[arg(long, value_name = "TIME", value_parser = values::span, default_value = "30d")]
    since: Millis,
    /// End of what is read: a date [default: now]
    #[arg(long, value_name = "DATE")]
    until: Option<String>,
    /// A pool: `NAME=GPUS` or `NAME=GPUS:LABEL=VALUE,...`, by its nodes' number of GPUs and labels; may be
    /// repeated, in order of preference [default: guessed from the nodes]
    #[arg(long, value_name = "POOL")]
    pool: Vec<PoolRule>,
    /// Where pods' GPUs are read from: kube-state-metrics or kube-scheduler
    #[arg(long, value_enum, default_value_t)]
    gpu_metric: Metric,
    /// Regular expression of the resources that count, as the metric writes them
    /// [default: `nvidia_com_gpu`, or `amd_com_gpu` if there is only that]
    #[arg(long, value_name = "REGEX")]
    gpu_resource: Option<String>,
    /// Span of time that one query looks at
    #[arg(long, value_name = "TIME", value_parser = values::span, default_value = "24h")]
    chunk: Millis,
    /// Keep answers in this folder, and ask only for what is not in it; without it nothing is kept
    #[arg(long, value_name = "FOLDER")]
    cache: Option<PathBuf>,
    /// Zone in which days begin
    #[arg(long, value_name = "ZONE", value_parser = trace_flags::time_zone, default_value = "UTC")]
    time_zone: TimeZone,
    /// Policies in the order of the report; knobs follow their policy: watermark:0.2,idle=30m
    #[arg(long, value_name = "LIST")]
    policy: Vec<String>,
    /// Where jobs go: best-fit, spread (kube-scheduler's default), fgd or prewarm
    #[arg(long)]
    placement: Option<Placement>,
    /// Time from the request of a node until it is Ready [default: learned]
    #[arg(long, value_name = "TIME", value_parser = values::span)]
    provisioning: Option<Millis>,
    /// Time from Ready until its GPUs are usable [default: learned]
    #[arg(long, value_name = "TIME", value_parser = values::span)]
    warm_up: Option<Millis>,
    /// Nodes always kept, per pool [default: the fewest there were]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(0..=i64::from(MAX_NODES)))]
    min_nodes: Option<u32>,
    /// Most nodes, per pool [default: the most there were]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=i64::from(MAX_NODES)))]
    max_nodes: Option<u32>,
    /// What happens before is not scored: an instant (240h) or a share of the time (40%) [default: 25%]
    #[arg(long, value_name = "WHEN")]
    score_from: Option<ScoreFrom>,
    /// Price of a GPU-hour: savings are also told in money
    #[arg(long, value_name = "PRICE", value_parser = price)]
    gpu_hour_price: Option<f64>,
    /// Seed of everything that is drawn
    #[arg(long, value_parser = values::seed, default_value = "1")]
    seed: u64,
    /// What to print
    #[arg(long, value_enum, default_value_t)]
    output: Output,
    /// Also write a self-contained page with pictures
    #[arg(long, value_name = "FILE.html")]
    report: Option<PathBuf>,
    /// Also write the pods as a trace, for `prewarm simulate`; gzipped if it ends in .gz
    #[arg(long, value_name = "FILE[.gz]")]
    save_trace: Option<PathBuf>,
    /// Threads to use [default: all cores]; the result is the same with any number
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    threads: Option<u16>,
}

#[derive(Clone, Copy, Debug, Default, clap::ValueEnum)]
enum Metric {
    /// `kube_pod_container_resource_requests` of kube-state-metrics.
    #[default]
    Ksm,
    /// `kube_pod_resource_request` of kube-scheduler.
    Scheduler,
}

impl From<Metric> for GpuMetric {
    fn from(metric: Metric) -> Self {
        match metric {
            Metric::Ksm => Self::KubeStateMetrics,
            Metric::Scheduler => Self::Scheduler,
        }
    }
}

fn price(text: &str) -> Result<f64, String> {
    let price = text.parse::<f64>().ok().filter(|price| (0.0..=1e6).contains(price));
    price.ok_or_else(|| format!("`{text}` is no price: write money for a GPU-hour, such as 2.5"))
}

pub(super) fn run(args: &Args) -> anyhow::Result<Ending> {
    if let Some(threads) = args.threads {
        rayon::ThreadPoolBuilder::new().num_threads(usize::from(threads)).build_global()?;
    }
    let policies = if args.policy.is_empty() {
        PolicySpec::defaults()
    } else {
        simulate::policies(&args.policy)?
    };
    for out in [&args.report, &args.save_trace].into_iter().flatten() {
        file::check_target(out)?;
    }
    let read = match gather(args)? {
        Gathered::Read(read) => read,
        Gathered::Nothing(page) => {
            say(&page)?;
            return Ok(Ending::Failed);
        }
        Gathered::Interrupted => {
            complain(match args.cache {
                Some(_) => {
                    "interrupted: what was read is kept; the same command goes on from there"
                }
                None => "interrupted: nothing was kept (--cache FOLDER would keep what was read)",
            });
            return Ok(Ending::Interrupted);
        }
    };
    let mut history = History::of(&read, &args.pool)?;
    for pool in &mut history.recovered.pools {
        set_flags(args, pool);
    }
    simulate::check_pools(&history.recovered.pools)?;
    if let Some(out) = &args.save_trace {
        write_trace(&history.recovered.trace, out)
            .with_context(|| format!("{}: cannot write the trace", out.display()))?;
        complain(&format!("Trace: {}", out.display()));
    }
    let setup = setup(args, &read, &history)?;
    let (report, pictures) = simulated(args, &read, &history, &setup, &policies);
    simulate::show(args.output, args.report.as_deref(), &report, &pictures)?;
    if interrupted() {
        complain("interrupted: the figures above reach only as far as marked");
        return Ok(Ending::Interrupted);
    }
    Ok(Ending::Fine)
}

/// Reads everything.
fn gather(args: &Args) -> anyhow::Result<Gathered> {
    let until = match &args.until {
        Some(text) => {
            values::date(text, &args.time_zone).map_err(|why| anyhow::anyhow!("--until: {why}"))?
        }
        None => Timestamp(jiff::Timestamp::now().as_millisecond() / 60_000 * 60_000),
    };
    if args.chunk < Millis::from_mins(5) {
        bail!("--chunk: write at least 5m; shorter pieces only make more queries");
    }
    if args.since < Millis::from_hours(1) {
        bail!("--since: write at least 1h, better two weeks or more");
    }
    let cache = args
        .cache
        .as_deref()
        .map(|folder| {
            AnswerCache::open(folder)
                .with_context(|| format!("--cache {}: cannot be made", folder.display()))
        })
        .transpose()?;
    let client = args.access.client(&args.prometheus)?;
    let asked = Asked {
        wanted: Wanted { metric: args.gpu_metric.into(), resource: args.gpu_resource.clone() },
        window: Window { from: midnight(until - args.since, &args.time_zone), until },
        chunk: args.chunk,
        zone: &args.time_zone,
        store: cache.as_ref().map(|cache| cache as &dyn Store),
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("starting the runtime")?;
    runtime.block_on(gather::all(&client, &asked))
}

/// The last midnight up to an instant.
fn midnight(at: Timestamp, zone: &TimeZone) -> Timestamp {
    let day = jiff::Timestamp::from_millisecond(at.0)
        .and_then(|at| at.to_zoned(zone.clone()).start_of_day());
    day.map_or(at, |day| Timestamp(day.timestamp().as_millisecond()))
}

/// Flags that are about every pool.
fn set_flags(args: &Args, pool: &mut Pool) {
    let lead = &mut pool.lead_time;
    if let Some(mean) = args.provisioning {
        lead.provisioning = StageTime::fixed(mean);
    }
    if let Some(mean) = args.warm_up {
        lead.warm_up = StageTime::fixed(mean);
    }
    pool.min_nodes = args.min_nodes.unwrap_or(pool.min_nodes);
    pool.max_nodes = args.max_nodes.or(pool.max_nodes);
}

fn setup(args: &Args, read: &Read, history: &History) -> anyhow::Result<Setup> {
    let end = Timestamp::ZERO + read.window.span();
    let score_from = args.score_from.unwrap_or(ScoreFrom::DEFAULT).within(end);
    if score_from >= end {
        bail!(
            "--score-from lies behind the end, so nothing would be scored: choose an earlier one"
        );
    }
    Ok(Setup {
        pools: history.recovered.pools.clone(),
        placement: args.placement.unwrap_or_default(),
        decision_every: Setup::DECISION_EVERY,
        seed: args.seed,
        end,
        score_from,
        series_bin: simulate::series_bin(args.report.as_deref(), end),
    })
}

fn simulated(
    args: &Args,
    read: &Read,
    history: &History,
    setup: &Setup,
    policies: &[PolicySpec],
) -> (Report, Vec<PolicyPictures>) {
    let happened = actual(&history.recovered, setup.score_from, setup.end);
    let name = format!("{} to {}", day(read.window.from), day(read.window.until));
    let bar = Bar::new("simulating");
    let comparison = Comparison {
        name: &name,
        trace: &history.recovered.trace,
        setup,
        policies,
        decisions: None,
        signals: &[],
        past: Some(Past {
            actual: &happened,
            gpu_hour_price: args.gpu_hour_price,
            asked_for: &history.asked_for,
        }),
    };
    let (mut report, pictures) = compare(&comparison, &bar);
    let own = caveats::caveats(read, history, setup);
    report.caveats.splice(0..0, own);
    (report, pictures)
}

/// An instant as a date and time in UTC.
fn day(at: Timestamp) -> String {
    let date = jiff::Timestamp::from_millisecond(at.0);
    date.map_or_else(|_| "?".to_owned(), |date| date.strftime("%Y-%m-%d %H:%M UTC").to_string())
}
