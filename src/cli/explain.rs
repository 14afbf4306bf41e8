//! `prewarm explain`: why one decision of a log was made.

use super::{
    Ending, log_error,
    progress::{Bar, interrupted},
    say, values,
};
use crate::{
    config::closest,
    decision_log::{self, Entry, Explanation, Log, instant},
    engine::Settings,
    sim::import::open_text,
    time::Timestamp,
};
use anyhow::{anyhow, bail};
use std::path::PathBuf;

/// Explain the last decision about a pool at or before an instant: what was done, why, and what was
/// wanted but not allowed.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  prewarm explain --log decisions.jsonl.gz --at 26h
  prewarm explain --log decisions.jsonl.gz --at 1d2h30m a100 --output json
  prewarm explain --log live.jsonl --at 2026-03-02T08:55:00Z a100")]
pub(super) struct Args {
    /// The log, plain or gzipped
    #[arg(long, value_name = "FILE")]
    log: PathBuf,
    /// When: so long after second 0 of the log's clock (26h, 1d2h30m, 95400s), or a date with offset
    /// (2026-03-02T08:55:00Z) if the log is of a live cluster
    #[arg(long, value_name = "TIME", value_parser = values::instant)]
    at: Timestamp,
    /// Which pool, if the log has several
    pool: Option<String>,
    /// What to print
    #[arg(long, value_enum, default_value_t)]
    output: Output,
}

/// How the explanation is printed.
#[derive(Clone, Copy, Debug, Default, clap::ValueEnum)]
enum Output {
    /// Sentences.
    #[default]
    Text,
    /// One JSON document (schema prewarm.explain/v1): the sentences and the figures behind them.
    Json,
}

/// Runs the command.
pub(super) fn run(args: &Args) -> anyhow::Result<Ending> {
    let Some((entry, settings, pool)) = find(args)? else { return Ok(Ending::Interrupted) };
    let (Some(explanation), Some(report)) =
        (decision_log::explain(&entry, &settings, pool), entry.decision.why.get(pool))
    else {
        bail!("{}: line {}: nothing was decided about this pool", args.log.display(), entry.line);
    };
    say(&match args.output {
        Output::Text => explanation.to_string(),
        Output::Json => document(&entry, &explanation, &serde_json::to_value(report)?),
    })?;
    Ok(Ending::Fine)
}

/// The decision to explain and the pool it is about; `None` if interrupted.
fn find(args: &Args) -> anyhow::Result<Option<(Entry, Settings, usize)>> {
    let bar = Bar::new("looking");
    let wrong = |error| log_error(&args.log, &error);
    let (start, log) = Log::open(open_text(&args.log, &bar)?).map_err(wrong)?;
    let pool = pool(args, &start.settings)?;
    let mut found = None;
    for entry in log {
        if interrupted() {
            return Ok(None);
        }
        let entry = entry.map_err(wrong)?;
        if entry.now > args.at {
            let first = instant(entry.now);
            return found.map(|found| Some((found, start.settings, pool))).ok_or_else(|| {
                anyhow!(
                    "{}: the first decision was made at {first}, after --at {}: choose {first} or later",
                    args.log.display(),
                    instant(args.at)
                )
            });
        }
        found = Some(entry);
    }
    match found {
        Some(found) => Ok(Some((found, start.settings, pool))),
        None => bail!("{}: there is no decision in this log", args.log.display()),
    }
}

/// Index of the pool asked for, or of the only one.
fn pool(args: &Args, settings: &Settings) -> anyhow::Result<usize> {
    let names: Vec<&str> = settings.pools.iter().map(|pool| pool.pool.name.as_str()).collect();
    let known = names.join(", ");
    match (&args.pool, names.len()) {
        (None, 1) => Ok(0),
        (None, _) => bail!("the log has several pools: name one of {known}"),
        (Some(name), _) => names.iter().position(|known| known == name).ok_or_else(|| {
            let hint = closest(name, names.iter().copied());
            let hint = hint.map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
            anyhow!("there is no pool `{name}` in the log, there is {known}{hint}")
        }),
    }
}

fn document(entry: &Entry, explanation: &Explanation, report: &serde_json::Value) -> String {
    let next = entry.decision.wake_at;
    let document = serde_json::json!({
        "schema": "prewarm.explain/v1",
        "pool": explanation.pool,
        "line": explanation.line,
        "at": explanation.at,
        "at_seconds": entry.now.as_secs_f64(),
        "next_look_seconds": (next != Timestamp::NEVER).then(|| next.as_secs_f64()),
        "sentences": explanation.sentences,
        "report": report,
    });
    format!("{document:#}\n")
}
