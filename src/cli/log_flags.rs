//! Flags of every command that runs for long and logs.

use anyhow::Context;
use clap::ValueEnum;
use std::io::IsTerminal;
use tracing_subscriber::EnvFilter;

/// What is logged, and how.
#[derive(Debug, clap::Args)]
pub(super) struct LogFlags {
    /// How log lines look; left out: text on a terminal, JSON elsewhere
    #[arg(long, value_enum)]
    log_format: Option<LogFormat>,
    /// Which log lines: a level, or a filter such as `info,prewarm=debug` (what the client library says of
    /// failed requests is said again by whoever asked)
    #[arg(
        long,
        value_name = "FILTER",
        env = "PREWARM_LOG",
        default_value = "info,kube_client=off"
    )]
    log: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum LogFormat {
    Text,
    Json,
}

impl LogFlags {
    /// Starts the log on stderr.
    pub(super) fn start(&self) -> anyhow::Result<()> {
        let filter = EnvFilter::try_new(&self.log).with_context(|| {
            format!("--log {}: not a filter; try `info` or `info,prewarm=debug`", self.log)
        })?;
        let is_terminal = std::io::stderr().is_terminal();
        let default = if is_terminal { LogFormat::Text } else { LogFormat::Json };
        let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
        let started = match self.log_format.unwrap_or(default) {
            LogFormat::Text => log.compact().with_ansi(is_terminal).try_init(),
            LogFormat::Json => log.json().flatten_event(true).with_current_span(false).try_init(),
        };
        started.map_err(|error| anyhow::anyhow!("starting the log: {error}"))
    }
}
