//! `prewarm release`: everything of ours out of a cluster.

use super::{
    Ending,
    cluster_flags::{ClusterFlags, or_stopped},
    complain,
    run::stop_on_interrupt,
    say,
};
use crate::live::{
    actuate::{ActuationSettings, Position},
    clock::Clock,
    release::release,
    run::Clusters,
};
use anyhow::Context;

/// Take back everything that a controller left in a cluster: holds of nodes, floors, cordons, marked Machines,
/// delays of pods. GpuPools, the nodes themselves and replicas stay.
///
/// Stop the controller first (or set the ConfigMap `prewarm-switch` to Shadow): one that still runs in mode
/// Active puts back what it wants.
///
/// Exit code 0: nothing of ours is left. 1: something is; it is listed with the reason.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  prewarm release --dry-run
  prewarm release && kubectl delete gpupools --all --all-namespaces")]
pub(super) struct Args {
    #[command(flatten)]
    cluster: ClusterFlags,
    /// Show what would be taken back and write nothing
    #[arg(long)]
    dry_run: bool,
}

/// Runs the command.
pub(super) fn run(args: &Args) -> anyhow::Result<Ending> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("starting the runtime")?;
    runtime.block_on(take_back(args))
}

async fn take_back(args: &Args) -> anyhow::Result<Ending> {
    let stop = stop_on_interrupt();
    let clients = args.cluster.connect().await?;
    let Some(api) = args.cluster.discover(&clients, &stop).await? else {
        return Ok(Ending::Interrupted);
    };
    let settings = ActuationSettings {
        switch: if args.dry_run { Position::DryRun } else { Position::Active },
        group: api.group.clone(),
        ..ActuationSettings::default()
    };
    let clusters = Clusters { clients, api };
    let work = release(&clusters, &args.cluster.namespace, &settings, Clock::system());
    let Some(released) = or_stopped(&stop, work).await else { return Ok(Ending::Interrupted) };
    let released = released?;
    for line in &released.done {
        say(&format!("{}{line}\n", if args.dry_run { "would: " } else { "" }))?;
    }
    for line in &released.left {
        complain(&format!("left: {line}"));
    }
    if released.done.is_empty() && released.left.is_empty() {
        say("nothing of Prewarm was found\n")?;
    }
    Ok(if released.left.is_empty() { Ending::Fine } else { Ending::Failed })
}
