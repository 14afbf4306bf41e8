//! `prewarm extender`: what a scheduler asks, without a controller.

use super::{
    Ending,
    extender_files::{policy, tls_files},
    log_flags::LogFlags,
    run::stop_on_interrupt,
};
use crate::live::{
    client::{self, Access},
    clock::Clock,
    extender::{EVERY, ExtenderSettings, Settings, sidecar},
};
use anyhow::Context;
use std::path::PathBuf;

/// Serve the scheduler extender beside a kube-scheduler: `filter`, `prioritize`, `preempt`, `explain`.
///
/// It watches nodes, pods, namespaces and ResourceSlices, and writes nothing. Until all of them have been listed
/// it answers 503. docs/extender.md says how to tell the scheduler of it.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  prewarm extender
  prewarm extender --kubeconfig cluster.yaml --listen 127.0.0.1:9376 --policy policy.yaml
  curl '127.0.0.1:9376/explain?pod=ml/train-0&node=gpu-1'")]
pub(super) struct Args {
    /// Kubeconfig of the cluster; left out: KUBECONFIG, ~/.kube/config, or the cluster this runs in
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
    /// Where the scheduler asks
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:9376")]
    listen: String,
    /// Where /metrics, /livez and /readyz are served
    #[arg(long, value_name = "ADDRESS", default_value = "0.0.0.0:8080")]
    health_listen: String,
    /// YAML file that says who may use GPU nodes, read again when it changes; left out: see docs/extender.md
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,
    /// Certificate in PEM, read again when it changes; left out: plain HTTP
    #[arg(long, value_name = "FILE")]
    tls_cert: Option<PathBuf>,
    /// Key of the certificate in PEM
    #[arg(long, value_name = "FILE")]
    tls_key: Option<PathBuf>,
    /// Only clients with a certificate signed by one of these (PEM)
    #[arg(long, value_name = "FILE")]
    client_ca: Option<PathBuf>,
    #[command(flatten)]
    log: LogFlags,
}

/// Runs the command.
pub(super) fn run(args: &Args) -> anyhow::Result<Ending> {
    args.log.start()?;
    let tls =
        tls_files("", args.tls_cert.as_ref(), args.tls_key.as_ref(), args.client_ca.as_ref())?;
    let settings = ExtenderSettings {
        listen: args.listen.clone(),
        policy: policy(args.policy.as_ref())?,
        tls,
        look_every: EVERY,
        limits: Settings::default(),
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .worker_threads(2)
        .build()
        .context("starting the runtime")?;
    runtime.block_on(async {
        let access = Access { kubeconfig: args.kubeconfig.clone(), management_kubeconfig: None };
        let clients = client::connect(&access).await?;
        let (stop, clock) = (stop_on_interrupt(), Clock::system());
        sidecar::run(&clients.workload, settings, &args.health_listen, clock, stop).await?;
        Ok(Ending::Fine)
    })
}
