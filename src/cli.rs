//! The command line: arguments in, exit code out. 0 = fine, 1 = it ran and the answer is no (an
//! expectation failed, a decision changed), 2 = wrong use (arguments, files, values), 130 = interrupted.
//!
//! The only part that reads the environment, files named by the user and the terminal.
#![allow(clippy::disallowed_methods, reason = "the shell is where clock and environment are read")]

#[cfg(feature = "prometheus")]
mod answer_cache;
#[cfg(feature = "prometheus")]
mod backtest;
#[cfg(feature = "live")]
mod cluster_flags;
#[cfg(feature = "live")]
mod crd;
mod decisions;
mod explain;
#[cfg(feature = "live")]
mod extender;
#[cfg(feature = "live")]
mod extender_files;
mod file;
mod import;
#[cfg(feature = "live")]
mod log_flags;
mod progress;
#[cfg(feature = "prometheus")]
mod prometheus_flags;
#[cfg(feature = "live")]
mod release;
mod replay;
#[cfg(feature = "live")]
mod run;
mod simulate;
mod trace_flags;
mod values;

use crate::decision_log::LogError;
use clap::{Parser, Subcommand};
use std::{path::Path, process::ExitCode};

/// Keeps GPU nodes ready before the pods that need them arrive, at a bounded cost.
#[derive(Debug, Parser)]
#[command(name = "prewarm", version, about, arg_required_else_help = true, max_term_width = 100)]
struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Compare scaling policies on a scenario or a trace, offline.
    Simulate(Box<simulate::Args>),
    /// What policies would have done with one's own last weeks, read from Prometheus.
    #[cfg(feature = "prometheus")]
    Backtest(Box<backtest::Args>),
    /// Turn a foreign trace into the common form.
    Import(import::Args),
    /// Decide a decision log again and show what comes out differently.
    Replay(replay::Args),
    /// Explain one decision of a log.
    Explain(explain::Args),
    /// Run the controller.
    #[cfg(feature = "live")]
    Run(Box<run::Args>),
    /// Serve the scheduler extender without a controller.
    #[cfg(feature = "live")]
    Extender(extender::Args),
    /// Take back everything that a controller left in a cluster.
    #[cfg(feature = "live")]
    Release(release::Args),
    /// Print the definition of our object, for `kubectl apply`.
    #[cfg(feature = "live")]
    Crd(crd::Args),
}

/// What shells report for a program ended by Ctrl-C.
const INTERRUPTED: u8 = 130;

/// How a command ended, apart from errors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    /// As it should.
    Fine,
    /// It ran, and the answer is no.
    Failed,
    /// Ctrl-C; what was done so far is shown.
    Interrupted,
}

/// Runs the program.
pub fn main() -> ExitCode {
    let args = match Args::try_parse() {
        Ok(args) => args,
        Err(message) => return show_clap_message(&message),
    };
    let ended =
        progress::catch_interrupts().map_err(Into::into).and_then(|()| match args.command {
            Command::Simulate(args) => simulate::run(&args),
            #[cfg(feature = "prometheus")]
            Command::Backtest(args) => backtest::run(&args),
            Command::Import(args) => import::run(&args),
            Command::Replay(args) => replay::run(&args),
            Command::Explain(args) => explain::run(&args),
            #[cfg(feature = "live")]
            Command::Crd(args) => crd::run(&args),
            #[cfg(feature = "live")]
            Command::Extender(args) => extender::run(&args),
            #[cfg(feature = "live")]
            Command::Release(args) => release::run(&args),
            #[cfg(feature = "live")]
            Command::Run(args) => run::run(&args),
        });
    match ended {
        Ok(Ending::Fine) => ExitCode::SUCCESS,
        Ok(Ending::Failed) => ExitCode::from(1),
        Ok(Ending::Interrupted) => ExitCode::from(INTERRUPTED),
        Err(error) => {
            complain(&format!("error: {error:#}"));
            if let Some(hint) = hint(&error) {
                complain(&hint);
            }
            ExitCode::from(if progress::interrupted() { INTERRUPTED } else { 2 })
        }
    }
}

/// What to look at where a file is not there.
fn hint(error: &anyhow::Error) -> Option<String> {
    let is_missing = |cause: &std::io::Error| cause.kind() == std::io::ErrorKind::NotFound;
    error.chain().filter_map(|cause| cause.downcast_ref()).any(is_missing).then(|| {
        let folder = std::env::current_dir().unwrap_or_default();
        format!("hint: a name without a leading / is looked for in {}", folder.display())
    })
}

/// Help and version go to stdout, wrong use to stderr with exit code 2.
fn show_clap_message(message: &clap::Error) -> ExitCode {
    // Nothing can be done about a closed terminal.
    message.print().ok();
    ExitCode::from(if message.use_stderr() { 2 } else { 0 })
}

/// One line on stderr.
fn complain(line: &str) {
    use std::io::Write;
    writeln!(std::io::stderr().lock(), "{line}").ok();
}

/// Text on stdout. A reader that has gone away (`| head`) is no error.
fn say(text: &str) -> std::io::Result<()> {
    use std::io::Write;
    match std::io::stdout().lock().write_all(text.as_bytes()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(error),
        _ => Ok(()),
    }
}

/// What is wrong with a decision log, with the name of its file.
fn log_error(path: &Path, error: &LogError) -> anyhow::Error {
    anyhow::anyhow!("{}: {error}", path.display())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Args::command().debug_assert();
    }
}
