//! `prewarm import`: a foreign trace in, the common form out.

use super::{Ending, progress::Bar, say, trace_flags::TraceFlags};
use crate::model::Trace;
use crate::sim::{
    export::write_jobs,
    import::{Format, read_file},
};
use anyhow::{Context, bail};
use flate2::{Compression, write::GzEncoder};
use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{BufWriter, Write};
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
    refuse_overwriting_input(&args.input, &args.out)?;
    let trace =
        read_file(&args.input, args.flags.format, &args.flags.options(), &Bar::new("reading"))?;
    write_file(&trace, &args.out)
        .with_context(|| format!("{}: cannot write", args.out.display()))?;
    say(&match args.output {
        Output::Table => summary(&trace, &args.out),
        Output::Json => document(&trace),
    })?;
    Ok(Ending::Fine)
}

/// Both names may lead to one file.
fn refuse_overwriting_input(input: &Path, out: &Path) -> anyhow::Result<()> {
    let same = match (fs::canonicalize(input), fs::canonicalize(out)) {
        (Ok(input), Ok(out)) => input == out,
        _ => input == out,
    };
    if same {
        bail!("{}: this is the input: name another file to write", out.display());
    }
    if out.is_dir() {
        bail!("{}: this is a folder: name a file to write", out.display());
    }
    Ok(())
}

/// Writes beside the target and renames, so that nobody sees half a trace.
fn write_file(trace: &Trace, out: &Path) -> std::io::Result<()> {
    let mut name = out.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.part", std::process::id()));
    let part = out.with_file_name(name);
    let written = write_to(trace, &part, out.extension().is_some_and(|end| end == "gz"))
        .and_then(|()| fs::rename(&part, out));
    if written.is_err() {
        // The first error is the one to tell.
        fs::remove_file(&part).ok();
    }
    written
}

fn write_to(trace: &Trace, path: &Path, zip: bool) -> std::io::Result<()> {
    let mut file = BufWriter::new(File::create(path)?);
    if zip {
        let mut encoder = GzEncoder::new(&mut file, Compression::default());
        write_jobs(trace, &mut encoder)?;
        encoder.finish()?;
    } else {
        write_jobs(trace, &mut file)?;
    }
    file.flush()
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
