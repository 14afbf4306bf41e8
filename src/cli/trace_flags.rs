//! Flags that say how a trace file is to be understood; the same for every command that reads one.

use super::values;
use crate::{
    sim::import::{Capacity, Format, Options, ReplicaRule},
    time::Millis,
};
use jiff::tz::TimeZone;
use std::path::{Path, PathBuf};

/// How a trace file is to be understood.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Reading a trace")]
pub(super) struct TraceFlags {
    /// Format of the file [default: told from its first bytes]
    #[arg(short, long)]
    pub(super) format: Option<Format>,
    /// Zone of times that are written without offset, such as Europe/Berlin [default: UTC]
    #[arg(long, value_name = "ZONE", value_parser = time_zone)]
    time_zone: Option<TimeZone>,
    /// slurm: number of gres/gpu where resources are numbered [default: 1002]
    #[arg(long, value_name = "ID")]
    gpu_tres_id: Option<u32>,
    /// alibaba-pai-2020: the table of jobs that belongs to the tasks
    #[arg(long, value_name = "FILE")]
    job_table: Option<PathBuf>,
    /// Request traces: load one replica takes, as 2rps or 500tps (tokens) [default: 2rps]
    #[arg(long, value_name = "LOAD", value_parser = capacity)]
    replica_capacity: Option<Capacity>,
    /// Request traces: GPUs of a replica [default: 1]
    #[arg(long, value_name = "N", value_parser = values::gpus_per_node)]
    gpus_per_replica: Option<u32>,
    /// Request traces: replicas that are always there [default: 1]
    #[arg(long, value_name = "N")]
    min_replicas: Option<u32>,
    /// Request traces: the load is averaged over this long [default: 60s]
    #[arg(long, value_name = "TIME", value_parser = window)]
    load_window: Option<Millis>,
}

impl TraceFlags {
    /// A second file that is read.
    pub(super) fn job_table(&self) -> Option<&Path> {
        self.job_table.as_deref()
    }

    /// The options of the importer.
    pub(super) fn options(&self) -> Options {
        let default = Options::default();
        let rule = default.replicas;
        Options {
            time_zone: self.time_zone.clone().unwrap_or(default.time_zone),
            slurm_gpu_tres_id: self.gpu_tres_id.unwrap_or(default.slurm_gpu_tres_id),
            pai_job_table: self.job_table.clone(),
            replicas: ReplicaRule {
                capacity: self.replica_capacity.unwrap_or(rule.capacity),
                gpus_per_replica: self.gpus_per_replica.unwrap_or(rule.gpus_per_replica),
                min_replicas: self.min_replicas.unwrap_or(rule.min_replicas),
                window: self.load_window.unwrap_or(rule.window),
                ..rule
            },
        }
    }
}

/// A zone by its IANA name.
pub(super) fn time_zone(name: &str) -> Result<TimeZone, String> {
    TimeZone::get(name)
        .map_err(|_| format!("`{name}` is no time zone: write a name such as Europe/Berlin or UTC"))
}

fn capacity(text: &str) -> Result<Capacity, String> {
    let positive = |number: &str| number.trim().parse::<f64>().ok().filter(|&n| n > 0.0 && n < 1e9);
    let requests = text.strip_suffix("rps").and_then(positive).map(Capacity::Requests);
    let tokens = || text.strip_suffix("tps").and_then(positive).map(Capacity::Tokens);
    requests.or_else(tokens).ok_or_else(|| {
        format!("`{text}` is no load: write requests a second as 2rps or tokens a second as 500tps")
    })
}

fn window(text: &str) -> Result<Millis, String> {
    let span = values::span(text)?;
    if span <= Millis::ZERO {
        return Err("a window of no length holds no load: write 60s or more".to_owned());
    }
    Ok(span)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_load_is_in_requests_or_tokens() {
        assert_eq!(capacity("2rps"), Ok(Capacity::Requests(2.0)));
        assert_eq!(capacity("500.5tps"), Ok(Capacity::Tokens(500.5)));
        for wrong in ["2", "0rps", "-1tps", "nanrps", "rps"] {
            assert!(capacity(wrong).unwrap_err().contains("2rps"), "{wrong}");
        }
    }

    #[test]
    fn an_unknown_zone_is_refused() {
        assert!(time_zone("Europe/Berlin").is_ok());
        assert!(time_zone("Middle/Earth").unwrap_err().contains("Europe/Berlin"));
    }
}
