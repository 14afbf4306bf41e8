//! `prewarm simulate`: a scenario or a trace in; a table, a JSON document and a page out.

use super::{
    Ending, complain,
    decisions::DecisionFile,
    file,
    progress::{Bar, interrupted},
    say,
    trace_flags::TraceFlags,
    values::{self, ScoreFrom},
};
use crate::{
    config::scenario::{Expectation, Scenario},
    model::{MAX_NODES, Pool, Trace, TraceBuilder},
    sim::{
        arrivals,
        compare::{Comparison, Sink, compare},
        expect, import,
        policy::PolicySpec,
        report::{self, PolicyPictures, Report},
        scenario,
        signals::{self, Rehearsed},
    },
    time::{Millis, Timestamp},
    world::{Placement, Setup},
};
use anyhow::{Context, anyhow, bail};
use std::{
    io::Write as _,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

/// Compare scaling policies on a scenario or a trace, offline.
///
/// A scenario file describes pools, demand, faults and policies; a trace is demand alone, and the pool
/// is given by flags. Both together: the scenario's pools with the demand of the trace.
#[derive(Debug, clap::Args)]
#[command(
    allow_negative_numbers = true,
    after_help = "\
Examples:
  prewarm simulate simulations/monday-morning.yaml --report report.html
  prewarm simulate --trace jobs.csv.gz --policy reactive,watermark:0.2,idle=30m
  prewarm simulate --trace jobs.csv --pool a100=8:A100,t4=4:T4 --output json
  prewarm simulate --trace jobs.csv --policy adaptive@20 --save-decisions decisions.jsonl.gz"
)]
pub(super) struct Args {
    /// Scenario file (YAML)
    scenario: Option<PathBuf>,
    /// Trace file, also gzipped; its format is recognised or given by --format
    #[arg(long, value_name = "FILE")]
    trace: Option<PathBuf>,
    /// Policies in the order of the report; knobs follow their policy: watermark:0.2,idle=30m
    #[arg(long, value_name = "LIST")]
    policy: Vec<String>,
    /// Pools `NAME=GPUS` or `NAME=GPUS:MODEL`, in order of preference: a100=8:A100,t4=4:T4
    #[arg(long, value_name = "LIST", value_parser = values::pool, value_delimiter = ',')]
    pool: Vec<Pool>,
    /// Pools of fixed size from a list of nodes (`sn,cpu_milli,memory_mib,gpu,model`)
    #[arg(long, value_name = "FILE", conflicts_with_all = ["pool", "gpus_per_node"])]
    nodes: Option<PathBuf>,
    /// What the provider could deliver over time, as SkyPilot records it; for one pool of several
    /// POOL=FILE; may be repeated
    #[arg(long, value_name = "FILE")]
    supply: Vec<String>,
    /// GPUs on a node, if no pool is named [default: 8]
    #[arg(long, value_name = "N", value_parser = values::gpus_per_node, conflicts_with = "pool")]
    gpus_per_node: Option<u32>,
    /// Time from the request of a node until it is Ready [default: 300s]
    #[arg(long, value_name = "TIME", value_parser = values::span, allow_hyphen_values = true)]
    provisioning: Option<Millis>,
    /// Time from Ready until its GPUs are usable [default: 240s]
    #[arg(long, value_name = "TIME", value_parser = values::span, allow_hyphen_values = true)]
    warm_up: Option<Millis>,
    /// Spread of both times: coefficient of variation of a log-normal, 0 = none
    #[arg(long, value_name = "CV", value_parser = values::variation)]
    lead_cv: Option<f64>,
    /// Share of node creations that fail
    #[arg(long, value_name = "SHARE", value_parser = values::failure_rate)]
    failure_rate: Option<f64>,
    /// Nodes always kept, per pool
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(0..=i64::from(MAX_NODES)))]
    min_nodes: Option<u32>,
    /// Most nodes, per pool
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=i64::from(MAX_NODES)))]
    max_nodes: Option<u32>,
    /// Where jobs go: best-fit, spread (kube-scheduler's default), fgd or prewarm (the extender's scoring)
    #[arg(long)]
    placement: Option<Placement>,
    /// What happens before is not scored: an instant (240h) or a share of the run (40%) [default: 25%]
    #[arg(long, value_name = "WHEN")]
    score_from: Option<ScoreFrom>,
    /// End of the run [default: with the scenario; for a trace of a day or more the full hour after
    /// its last submission, for a shorter one an hour after its last job could have ended]
    #[arg(long, value_name = "TIME", value_parser = values::span, allow_hyphen_values = true)]
    until: Option<Millis>,
    /// Seed of everything that is drawn
    #[arg(long, value_parser = values::seed)]
    seed: Option<u64>,
    /// What to print
    #[arg(long, value_enum, default_value_t)]
    output: Output,
    /// Also write a self-contained page with pictures
    #[arg(long, value_name = "FILE.html")]
    report: Option<PathBuf>,
    /// Also write every decision of the one adaptive policy, for `prewarm replay` and `prewarm explain`;
    /// gzipped if it ends in .gz
    #[arg(long, value_name = "FILE[.gz]")]
    save_decisions: Option<PathBuf>,
    /// Verify the scenario's `expect:` block; exit code 1 if it does not hold
    #[arg(long, requires = "scenario")]
    check: bool,
    /// Threads to use [default: all cores]; the result is the same with any number
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    threads: Option<u16>,
    #[command(flatten)]
    trace_flags: TraceFlags,
}

#[derive(Clone, Copy, Debug, Default, clap::ValueEnum)]
pub(super) enum Output {
    /// A table for people.
    #[default]
    Table,
    /// One JSON document (schema prewarm.report/v1).
    Json,
}

/// Everything a comparison needs, read and checked.
struct Case {
    name: String,
    trace: Trace,
    setup: Setup,
    policies: Vec<PolicySpec>,
    /// By pool.
    signals: Vec<Vec<Rehearsed>>,
    expectations: Vec<Expectation>,
}

pub(super) fn run(args: &Args) -> anyhow::Result<Ending> {
    if let Some(threads) = args.threads {
        rayon::ThreadPoolBuilder::new().num_threads(usize::from(threads)).build_global()?;
    }
    check_targets(args)?;
    let case = read_case(args)?;
    let decisions = begin_decisions(args, &case.policies)?;
    let (report, pictures) = {
        let bar = Bar::new("simulating");
        let comparison = Comparison {
            name: &case.name,
            trace: &case.trace,
            setup: &case.setup,
            policies: &case.policies,
            decisions: decisions.as_ref().map(|sink| sink as &Sink),
            signals: &case.signals,
            past: None,
        };
        compare(&comparison, &bar)
    };
    show(args.output, args.report.as_deref(), &report, &pictures)?;
    finish_decisions(args, decisions)?;
    if interrupted() {
        complain("interrupted: the figures above reach only as far as marked");
        return Ok(Ending::Interrupted);
    }
    check(args, &case, &report)
}

/// What is written must not replace a file that is read, nor the other one that is written.
fn check_targets(args: &Args) -> anyhow::Result<()> {
    let supplies = args.supply.iter().map(|text| Path::new(supply_of(text).1));
    let named = [&args.scenario, &args.trace, &args.nodes].into_iter().flatten();
    let inputs = named.map(PathBuf::as_path).chain(args.trace_flags.job_table()).chain(supplies);
    let inputs: Vec<&Path> = inputs.collect();
    for out in [&args.report, &args.save_decisions].into_iter().flatten() {
        for input in &inputs {
            file::refuse_overwriting(out, input)?;
        }
        file::check_target(out)?;
    }
    if let (Some(report), Some(decisions)) = (&args.report, &args.save_decisions)
        && file::refuse_overwriting(decisions, report).is_err()
    {
        bail!("{}: --report writes this file: name another for --save-decisions", report.display());
    }
    Ok(())
}

/// Opens the decision log if one is asked for and there is one policy to write it.
fn begin_decisions(
    args: &Args,
    policies: &[PolicySpec],
) -> anyhow::Result<Option<Mutex<DecisionFile>>> {
    let Some(path) = &args.save_decisions else { return Ok(None) };
    let adaptive: Vec<String> = policies
        .iter()
        .filter(|spec| spec.adaptive_kappa().is_some())
        .map(ToString::to_string)
        .collect();
    let given = if args.policy.is_empty() { "without --policy" } else { "among the policies" };
    match adaptive.as_slice() {
        [_] => {}
        [] => bail!(
            "--save-decisions writes the decisions of an adaptive policy, and {given} there is none: \
             add --policy adaptive@20"
        ),
        [first, ..] => bail!(
            "--save-decisions writes the decisions of one adaptive policy, and {given} there are several \
             ({}): choose one, such as --policy {first}",
            adaptive.join(", ")
        ),
    }
    let file = DecisionFile::begin(path)
        .with_context(|| format!("{}: cannot write the decisions", path.display()))?;
    Ok(Some(Mutex::new(file)))
}

fn finish_decisions(args: &Args, file: Option<Mutex<DecisionFile>>) -> anyhow::Result<()> {
    let (Some(path), Some(file)) = (&args.save_decisions, file) else { return Ok(()) };
    let shown = path.display();
    let is_there = file
        .into_inner()
        .unwrap_or_else(PoisonError::into_inner)
        .finish()
        .with_context(|| format!("{shown}: cannot write the decisions"))?;
    complain(&match (is_there, interrupted()) {
        (false, _) => format!("No decision was made, so {shown} was not written"),
        (true, true) => format!("Decisions up to the interruption: {shown}"),
        (true, false) => format!("Decisions: {shown}"),
    });
    Ok(())
}

/// Prints a report, and writes the page if one is asked for.
pub(super) fn show(
    output: Output,
    page: Option<&Path>,
    report: &Report,
    pictures: &[PolicyPictures],
) -> anyhow::Result<()> {
    match output {
        Output::Table => say(&report::table(report))?,
        Output::Json => say(&report::json(report))?,
    }
    let Some(path) = page else { return Ok(()) };
    file::write(path, |file| file.write_all(report::page(report, pictures).as_bytes()))
        .with_context(|| format!("{}: cannot write the report", path.display()))?;
    let path = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    match output {
        Output::Table => say(&format!("\nReport: {}\n", path.display()))?,
        Output::Json => complain(&format!("Report: {}", path.display())),
    }
    Ok(())
}

fn check(args: &Args, case: &Case, report: &Report) -> anyhow::Result<Ending> {
    if !args.check {
        return Ok(Ending::Fine);
    }
    let verdicts = expect::judge(&case.expectations, report).map_err(|problems| {
        let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
        anyhow!("{}: {}", case.name, lines.join("\n"))
    })?;
    for verdict in &verdicts {
        complain(&verdict.to_string());
    }
    let is_fine = verdicts.iter().all(|verdict| verdict.passed);
    Ok(if is_fine { Ending::Fine } else { Ending::Failed })
}

fn read_case(args: &Args) -> anyhow::Result<Case> {
    let case = match (&args.scenario, &args.trace) {
        (Some(path), _) => scenario_case(args, path)?,
        (None, Some(path)) => trace_case(args, path)?,
        (None, None) => bail!(
            "nothing to simulate: name a scenario (prewarm simulate simulations/monday-morning.yaml) \
             or a trace (--trace FILE)"
        ),
    };
    check_pools(&case.setup.pools)?;
    let (from, end) = (case.setup.score_from, case.setup.end);
    if from >= end {
        bail!(
            "scoring starts at {:.2} h but the run ends at {:.2} h, so nothing would be scored: \
             choose an earlier --score-from or a later --until",
            from.as_hours(),
            end.as_hours()
        );
    }
    Ok(case)
}

/// The scenario, with whatever the flags change.
fn scenario_case(args: &Args, path: &Path) -> anyhow::Result<Case> {
    let scenario = scenario::load(path)?;
    let trace = match &args.trace {
        Some(trace) => read_trace(args, trace)?,
        None => scenario_trace(args, &scenario, path)?,
    };
    let end = args.until.map_or(Timestamp::ZERO + scenario.end, |until| Timestamp::ZERO + until);
    let placement = scenario.placement.name().parse().map_err(|why: String| anyhow!(why))?;
    let policies = match args.policy.is_empty() {
        true if scenario.policies.is_empty() => PolicySpec::defaults(),
        true => scenario
            .policies
            .iter()
            .map(|text| text.parse())
            .collect::<Result<_, _>>()
            .with_context(|| path.display().to_string())?,
        false => policies(&args.policy)?,
    };
    let pools = named_pools(args)?.unwrap_or_else(|| scenario.pools.clone());
    let pools = with_supply(args, with_flags(args, pools))?;
    if let Some(out) = &args.report {
        let files = signals::files(&scenario, path);
        files.iter().try_for_each(|file| file::refuse_overwriting(out, file))?;
    }
    let signals = signals::load(&scenario, &pools, path)?;
    let setup = Setup {
        pools,
        placement: args.placement.unwrap_or(placement),
        decision_every: scenario.decision_every,
        seed: args.seed.unwrap_or(scenario.seed),
        end,
        score_from: args.score_from.map_or(scenario.score_from, |from| from.within(end)),
        series_bin: series_bin(args.report.as_deref(), end),
    };
    let (name, expectations) = (scenario.name, scenario.expect);
    Ok(Case { name, trace, setup, policies, signals, expectations })
}

/// Synthetic demand and the trace files that the scenario names.
fn scenario_trace(args: &Args, scenario: &Scenario, path: &Path) -> anyhow::Result<Trace> {
    let seed = args.seed.unwrap_or(scenario.seed);
    let mut builder = TraceBuilder::new();
    arrivals::add_to(&mut builder, &scenario.arrivals, seed, scenario.starts_at, scenario.end);
    for file in scenario::trace_files(scenario, path) {
        if let Some(out) = &args.report {
            file::refuse_overwriting(out, &file)?;
        }
        builder.extend(&read_trace(args, &file)?);
    }
    Ok(builder.build())
}

fn trace_case(args: &Args, path: &Path) -> anyhow::Result<Case> {
    let policies =
        if args.policy.is_empty() { PolicySpec::defaults() } else { policies(&args.policy)? };
    let trace = read_trace(args, path)?;
    let end = args.until.map_or_else(|| natural_end(&trace), |until| Timestamp::ZERO + until);
    let default = || vec![Pool::new("default", args.gpus_per_node.unwrap_or(8))];
    let pools = named_pools(args)?.unwrap_or_else(default);
    let setup = Setup {
        pools: with_supply(args, with_flags(args, pools))?,
        placement: args.placement.unwrap_or_default(),
        decision_every: Setup::DECISION_EVERY,
        seed: args.seed.unwrap_or(1),
        end,
        score_from: args.score_from.unwrap_or(ScoreFrom::DEFAULT).within(end),
        series_bin: series_bin(args.report.as_deref(), end),
    };
    let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
    let (signals, expectations) = (Vec::new(), Vec::new());
    Ok(Case { name, trace, setup, policies, signals, expectations })
}

fn read_trace(args: &Args, path: &Path) -> anyhow::Result<Trace> {
    let bar = Bar::new("reading");
    let options = args.trace_flags.options();
    let trace = import::read_file(path, args.trace_flags.format, &options, &bar)?;
    refuse_empty(&trace, path)?;
    Ok(trace)
}

fn refuse_empty(trace: &Trace, path: &Path) -> anyhow::Result<()> {
    if !trace.jobs.is_empty() {
        return Ok(());
    }
    let (path, rows) = (path.display(), trace.rows);
    if rows == 0 {
        bail!("{path}: there is a header but no row, so there is nothing to simulate");
    }
    let why: Vec<String> = trace
        .skipped
        .iter()
        .map(|(why, rows)| format!("{rows} {}", why.key().replace('_', " ")))
        .collect();
    bail!(
        "{path}: none of the {rows} rows is a job with GPUs ({}), so there is nothing to simulate",
        why.join(", ")
    );
}

/// Policies as typed; one name twice is refused.
pub(super) fn policies(names: &[String]) -> anyhow::Result<Vec<PolicySpec>> {
    let specs = PolicySpec::list(&names.join(","))?;
    if specs.is_empty() {
        bail!("--policy is empty: name policies, such as reactive,watermark:0.2");
    }
    for (place, spec) in specs.iter().enumerate() {
        if specs[..place].iter().any(|other| other.to_string() == spec.to_string()) {
            bail!("--policy names `{spec}` twice");
        }
    }
    Ok(specs)
}

/// Pools from `--nodes` or `--pool`, if given.
fn named_pools(args: &Args) -> anyhow::Result<Option<Vec<Pool>>> {
    if let Some(path) = &args.nodes {
        let pools = import::read_nodes(path, &Bar::new("reading"))?;
        if pools.is_empty() {
            bail!("{}: no node with GPUs", path.display());
        }
        return Ok(Some(pools));
    }
    Ok(Some(args.pool.clone()).filter(|pools| !pools.is_empty()))
}

/// Windows of limited supply from `--supply`.
fn with_supply(args: &Args, mut pools: Vec<Pool>) -> anyhow::Result<Vec<Pool>> {
    for text in &args.supply {
        let (name, file) = supply_of(text);
        let names: Vec<&str> = pools.iter().map(|pool| pool.name.as_str()).collect();
        let known = names.join(", ");
        let place = match names.iter().position(|known| *known == name) {
            Some(place) => place,
            None if name.is_empty() && pools.len() == 1 => 0,
            None => bail!("--supply {text}: write POOL=FILE with one of the pools {known}"),
        };
        pools[place].supply = import::read_supply_file(Path::new(file), &Bar::new("reading"))?;
    }
    Ok(pools)
}

/// `POOL=FILE`, or a file alone.
fn supply_of(text: &str) -> (&str, &str) {
    text.split_once('=').unwrap_or(("", text))
}

/// What single flags cannot see.
pub(super) fn check_pools(pools: &[Pool]) -> anyhow::Result<()> {
    for (place, pool) in pools.iter().enumerate() {
        let name = &pool.name;
        if name.trim().is_empty() {
            bail!("a pool has an empty name: name it");
        }
        if pools[..place].iter().any(|other| other.name == *name) {
            bail!("pool `{name}` is there twice: rename one");
        }
        if let Some(max) = pool.max_nodes.filter(|&max| max < pool.min_nodes) {
            let min = pool.min_nodes;
            bail!(
                "pool `{name}` has a minimum of {min} nodes and a maximum of {max}: lower the one or raise the other"
            );
        }
    }
    Ok(())
}

/// Flags that are about every pool.
fn with_flags(args: &Args, mut pools: Vec<Pool>) -> Vec<Pool> {
    for pool in &mut pools {
        let lead = &mut pool.lead_time;
        lead.provisioning.mean = args.provisioning.unwrap_or(lead.provisioning.mean);
        lead.warm_up.mean = args.warm_up.unwrap_or(lead.warm_up.mean);
        lead.provisioning.cv = args.lead_cv.unwrap_or(lead.provisioning.cv);
        lead.warm_up.cv = args.lead_cv.unwrap_or(lead.warm_up.cv);
        pool.failure_rate = args.failure_rate.unwrap_or(pool.failure_rate);
        pool.min_nodes = args.min_nodes.unwrap_or(pool.min_nodes);
        pool.max_nodes = args.max_nodes.or(pool.max_nodes);
    }
    pools
}

/// Where a trace of jobs ends unless told otherwise. Of a day or more: the full hour after its last
/// submission, since the tail in which nothing arrives says nothing about a policy. Shorter: an hour
/// after its last job could have ended.
fn natural_end(trace: &Trace) -> Timestamp {
    const HOUR: Millis = Millis::from_hours(1);
    let last_submit = trace.jobs.last().map_or(Timestamp::ZERO, |job| job.submit);
    if last_submit >= Timestamp::ZERO + Millis::from_hours(24) {
        return (last_submit + Millis(1)).ceil_to(HOUR);
    }
    let ends = trace.jobs.iter().map(|job| job.submit + job.duration);
    let last_end = ends.max().unwrap_or(Timestamp::ZERO);
    last_end.ceil_to(HOUR) + HOUR
}

/// Fine enough for the zoom on the worst hours, at most 100,000 bins; only if a page is asked for.
pub(super) fn series_bin(page: Option<&Path>, end: Timestamp) -> Option<Millis> {
    page?;
    let minutes = end.0 / 60_000 / 100_000 + 1;
    Some(Millis::from_mins(minutes))
}
