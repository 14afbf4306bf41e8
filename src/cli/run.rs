//! `prewarm run`: the controller.

use super::{
    Ending, cluster_flags::ClusterFlags, extender_files, extender_files::tls_files,
    log_flags::LogFlags, progress::interrupted, prometheus_flags::PrometheusFlags, values,
};
use crate::{
    live::{
        actuate::{ActuationSettings, Position},
        clock::Clock,
        extender::{EVERY, ExtenderSettings, Settings},
        past::PastSource,
        run::{self, Clusters, RunSettings},
    },
    prometheus::{Client, Wanted},
    time::Millis,
};
use anyhow::Context;
use std::{path::PathBuf, sync::Arc, time::Duration};
use tokio_util::sync::CancellationToken;

/// Run the controller: watch the cluster, decide, and raise MachineDeployments of pools in mode Active.
///
/// Every pool starts in Shadow: decisions are recorded and shown, nothing is written. A pool is turned on with
/// `kubectl patch gpool NAME --type merge -p '{"spec":{"mode":"Active"}}'`; all are held back at once by a
/// ConfigMap `prewarm-switch` with `mode: Shadow` in Prewarm's namespace.
#[derive(Debug, clap::Args)]
#[expect(clippy::struct_excessive_bools, reason = "flags of a command line")]
#[command(after_help = "\
Examples:
  prewarm run
  prewarm run --kubeconfig workload.yaml --management-kubeconfig management.yaml --dry-run
  prewarm run --leader-elect=false --listen 127.0.0.1:8080 --decision-log /var/lib/prewarm")]
pub(super) struct Args {
    #[command(flatten)]
    cluster: ClusterFlags,
    /// Where /metrics, /livez, /readyz and /debug/decisions are served
    #[arg(long, value_name = "ADDRESS", default_value = "0.0.0.0:8080")]
    listen: String,
    /// Name of this replica; left out: the host name and the process number
    #[arg(long, value_name = "NAME", env = "POD_NAME")]
    identity: Option<String>,
    /// Of several replicas only the leader acts
    #[arg(long, value_name = "BOOL", default_value_t = true, action = clap::ArgAction::Set)]
    leader_elect: bool,
    /// Make GpuPools (in Shadow) for MachineDeployments that look like GPU pools
    #[arg(long, value_name = "BOOL", default_value_t = true, action = clap::ArgAction::Set)]
    discovery: bool,
    /// Tell what would be written to MachineDeployments, Machines, Nodes and Pods, and write none of it
    #[arg(long)]
    dry_run: bool,
    /// cluster-autoscaler runs with --enforce-node-group-min-size: backend Auto may raise its min-size
    #[arg(long)]
    autoscaler_enforces_min_size: bool,
    /// Folder for decision logs that `prewarm replay` and `prewarm explain` take
    #[arg(long, value_name = "FOLDER")]
    decision_log: Option<PathBuf>,
    /// Serve the scheduler extender here as well, such as 0.0.0.0:9376; left out: not at all
    #[arg(long, value_name = "ADDRESS")]
    extender_listen: Option<String>,
    /// YAML file of the extender that says who may use GPU nodes, read again when it changes; left out: see
    /// docs/extender.md
    #[arg(long, value_name = "FILE", requires = "extender_listen")]
    extender_policy: Option<PathBuf>,
    /// Certificate of the extender in PEM, read again when it changes; left out: plain HTTP
    #[arg(long, value_name = "FILE", requires = "extender_listen")]
    extender_tls_cert: Option<PathBuf>,
    /// Key of the certificate in PEM
    #[arg(long, value_name = "FILE", requires = "extender_listen")]
    extender_tls_key: Option<PathBuf>,
    /// The extender answers only clients with a certificate signed by one of these (PEM)
    #[arg(long, value_name = "FILE", requires = "extender_listen")]
    extender_client_ca: Option<PathBuf>,
    /// Prometheus from which signals of pools are read, and from which a controller that kept no memory learns
    /// what happened before it came
    #[arg(long, value_name = "URL")]
    prometheus_url: Option<String>,
    /// How far back it learns from Prometheus
    #[arg(long, value_name = "TIME", value_parser = values::span, default_value = "14d")]
    prometheus_since: Millis,
    #[command(flatten)]
    prometheus: PrometheusFlags,
    #[command(flatten)]
    log: LogFlags,
}

pub(super) fn run(args: &Args) -> anyhow::Result<Ending> {
    args.log.start()?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .worker_threads(2)
        .build()
        .context("starting the runtime")?;
    runtime.block_on(live(args))
}

async fn live(args: &Args) -> anyhow::Result<Ending> {
    let stop = stop_on_interrupt();
    let clients = args.cluster.connect().await?;
    let Some(api) = args.cluster.discover(&clients, &stop).await? else { return Ok(Ending::Fine) };
    tracing::info!(group = api.group, version = api.version, "Cluster API found");
    let switch = if args.dry_run { Position::DryRun } else { Position::Active };
    let prometheus =
        args.prometheus_url.as_ref().map(|url| args.prometheus.client(url)).transpose()?;
    let prometheus = prometheus.map(Arc::new);
    let settings = RunSettings {
        namespace: args.cluster.namespace.clone(),
        identity: args.identity.clone().unwrap_or_else(own_name),
        elect: args.leader_elect,
        discovery: args.discovery,
        listen: args.listen.clone(),
        decision_log: args.decision_log.clone(),
        extender: extender_settings(args)?,
        actuation: ActuationSettings {
            switch,
            group: api.group.clone(),
            scalable: api.scalable.kind.clone(),
            floor_enforced: args.autoscaler_enforces_min_size,
            ..ActuationSettings::default()
        },
        past: prometheus.as_ref().map(|client| past_source(args, client)),
        signals: prometheus,
        clock: Clock::system(),
    };
    Box::pin(run::run(Clusters { clients, api }, settings, stop)).await?;
    Ok(Ending::Fine)
}

fn extender_settings(args: &Args) -> anyhow::Result<Option<ExtenderSettings>> {
    let Some(listen) = args.extender_listen.clone() else { return Ok(None) };
    let (certificate, key) = (args.extender_tls_cert.as_ref(), args.extender_tls_key.as_ref());
    let tls = tls_files("extender-", certificate, key, args.extender_client_ca.as_ref())?;
    let policy = extender_files::policy(args.extender_policy.as_ref())?;
    let limits = Settings::default();
    Ok(Some(ExtenderSettings { listen, policy, tls, look_every: EVERY, limits }))
}

fn past_source(args: &Args, client: &Arc<Client>) -> PastSource {
    PastSource {
        client: Arc::clone(client),
        wanted: Wanted::default(),
        since: args.prometheus_since,
    }
}

/// Cancelled by Ctrl-C and SIGTERM.
pub(super) fn stop_on_interrupt() -> CancellationToken {
    let stop = CancellationToken::new();
    let cancelled = stop.clone();
    tokio::spawn(async move {
        while !interrupted() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        cancelled.cancel();
    });
    stop
}

/// The host name (in a pod: the pod's) and the process number.
fn own_name() -> String {
    let host = std::fs::read_to_string("/etc/hostname").unwrap_or_default();
    format!("{}-{}", host.trim(), std::process::id())
}
