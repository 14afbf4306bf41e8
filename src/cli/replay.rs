//! `prewarm replay`: a decision log in; are its decisions those that this program makes?

use super::{
    Ending, complain, log_error,
    progress::{Bar, interrupted},
    say,
};
use crate::{
    decision_log::{self, Difference, Replayed},
    sim::import::open_text,
};
use std::{fmt::Write as _, path::PathBuf};

/// Decide a decision log again and show what comes out differently.
///
/// Exit code 0: every decision is the same. 1: some are not; the first ten are shown, field by field.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  prewarm simulate --trace jobs.csv.gz --policy adaptive@20 --save-decisions decisions.jsonl.gz
  prewarm replay decisions.jsonl.gz")]
pub(super) struct Args {
    /// The log, plain or gzipped
    log: PathBuf,
    /// What to print
    #[arg(long, value_enum, default_value_t)]
    output: Output,
}

/// How the result is printed.
#[derive(Clone, Copy, Debug, Default, clap::ValueEnum)]
enum Output {
    /// For people.
    #[default]
    Text,
    /// One JSON document (schema prewarm.replay/v1).
    Json,
}

/// Runs the command.
pub(super) fn run(args: &Args) -> anyhow::Result<Ending> {
    let replayed = {
        let bar = Bar::new("deciding again");
        let text = open_text(&args.log, &bar)?;
        decision_log::replay(text, &|_| !interrupted())
            .map_err(|error| log_error(&args.log, &error))?
    };
    say(&match args.output {
        Output::Text => text(&replayed),
        Output::Json => document(&replayed),
    })?;
    if interrupted() {
        complain("interrupted: the log was decided again only as far as shown");
        return Ok(Ending::Interrupted);
    }
    Ok(if replayed.changed == 0 { Ending::Fine } else { Ending::Failed })
}

fn text(replayed: &Replayed) -> String {
    let decisions = match replayed.looks {
        1 => "1 decision".to_owned(),
        looks => format!("{looks} decisions"),
    };
    if replayed.changed == 0 {
        return format!("{decisions}, all the same\n");
    }
    let mut text = format!("{decisions}, {} changed\n", replayed.changed);
    for difference in &replayed.differences {
        // Writing to a string cannot fail.
        write!(text, "\n{difference}").ok();
    }
    let more = replayed.changed - replayed.differences.len() as u64;
    if more > 0 {
        write!(text, "\nand {more} more; those after the first may only follow from it\n").ok();
    }
    text
}

fn document(replayed: &Replayed) -> String {
    let differences: Vec<_> = replayed.differences.iter().map(difference).collect();
    let document = serde_json::json!({
        "schema": "prewarm.replay/v1",
        "decisions": replayed.looks,
        "changed": replayed.changed,
        "differences": differences,
        "partial": interrupted(),
    });
    format!("{document:#}\n")
}

fn difference(difference: &Difference) -> serde_json::Value {
    let field = |(field, recorded, now): &(String, serde_json::Value, serde_json::Value)| serde_json::json!({ "field": field, "recorded": recorded, "now": now });
    serde_json::json!({
        "line": difference.line,
        "at_seconds": difference.now.as_secs_f64(),
        "fields": difference.fields.iter().map(field).collect::<Vec<_>>(),
    })
}
