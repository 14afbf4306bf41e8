//! `prewarm import`: a foreign trace in, the common form out.

use super::{Ending, file, progress::Bar, say, trace_flags::TraceFlags};
use crate::model::Trace;
use crate::sim::{
    export::write_jobs,
    import::{Format, read_file},
};
use anyhow::Context;
use flate2::{Compression, write::GzEncoder};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// Turn a foreign trace into the common form.
///
/// Reads plain or gzipped files and tells what became of every row.
#[derive(Debug, clap::Args)]
#[command(after_help = after_help())]
pub(super) struct Args {
    /// The trace to read
    input: PathBuf,
    /// Where to write the common form; gzipped if it ends in .gz
    #[arg(short = 'o', long = "out", value_name = "FILE")]
    out: PathBuf,
    #[command(flatten)]
    flags: TraceFlags,
    /// How to say what became of the rows
    #[arg(long, value_enum, default_value_t)]
    output: Output,
}

/// How the counts are printed.
#[derive(Clone, Copy, Debug, Default, clap::ValueEnum)]
enum Output {
    /// For people.
    #[default]
    Table,
    /// One JSON document.
    Json,
}

fn after_help() -> String {
    let mut text = "Formats:\n".to_owned();
    for format in Format::ALL {
        // Writing to a string cannot fail.
        writeln!(text, "  {:<18} {}", format.name(), format.about()).ok();
    }
    text.push_str(
        "\nExamples:\n  prewarm import cluster_log.csv -o jobs.csv.gz --time-zone Asia/Shanghai\n  \
         prewarm import pods.csv.gz --format alibaba-openb -o jobs.csv",
    );
    text
}

/// Runs the command.
pub(super) fn run(args: &Args) -> anyhow::Result<Ending> {
    for input in std::iter::once(args.input.as_path()).chain(args.flags.job_table()) {
        file::refuse_overwriting(&args.out, input)?;
    }
    file::check_target(&args.out)?;
    let trace =
        read_file(&args.input, args.flags.format, &args.flags.options(), &Bar::new("reading"))?;
    write_trace(&trace, &args.out)
        .with_context(|| format!("{}: cannot write", args.out.display()))?;
    say(&match args.output {
        Output::Table => summary(&trace, &args.out),
        Output::Json => document(&trace),
    })?;
    Ok(Ending::Fine)
}

/// The common form, gzipped if the name says so.
pub(super) fn write_trace(trace: &Trace, out: &Path) -> std::io::Result<()> {
    file::write(out, |draft| {
        if !file::is_gzip(out) {
            return write_jobs(trace, draft);
        }
        let mut encoder = GzEncoder::new(draft, Compression::default());
        write_jobs(trace, &mut encoder)?;
        encoder.finish().map(drop)
    })
}

/// What became of the rows, for people.
fn summary(trace: &Trace, out: &Path) -> String {
    let mut text = format!("{:>12} rows read\n{:>12} jobs taken\n", trace.rows, trace.jobs.len());
    for (reason, count) in &trace.skipped {
        let reason = reason.key().replace('_', " ");
        writeln!(text, "{count:>12} rows skipped: {reason}").ok();
    }
    for (what, count) in &trace.adjusted {
        writeln!(text, "{count:>12} adjusted: {}", what.replace('_', " ")).ok();
    }
    writeln!(text, "written to {}", out.display()).ok();
    text
}

/// What became of the rows, for programs.
fn document(trace: &Trace) -> String {
    let skipped: serde_json::Map<_, _> =
        trace.skipped.iter().map(|(reason, &count)| (reason.key().into(), count.into())).collect();
    let document = serde_json::json!({
        "schema": "prewarm.import/v1",
        "rows": trace.rows,
        "jobs": trace.jobs.len(),
        "skipped": skipped,
        "adjusted": trace.adjusted,
    });
    format!("{document}\n")
}
