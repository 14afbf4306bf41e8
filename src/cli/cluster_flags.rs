//! Flags of every command that talks to a cluster.

use crate::live::client::{self, Access, Clients, ClusterApi, DiscoveryFault};
use anyhow::bail;
use std::{future::Future, path::PathBuf, time::Duration};
use tokio_util::sync::CancellationToken;

/// How the clusters are reached.
#[derive(Debug, clap::Args)]
pub(super) struct ClusterFlags {
    /// Kubeconfig of the workload cluster (pods, nodes); left out: KUBECONFIG, ~/.kube/config, or the cluster
    /// this runs in
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
    /// Kubeconfig of the management cluster (Cluster API, GpuPools); left out: the workload cluster
    #[arg(long, value_name = "FILE")]
    management_kubeconfig: Option<PathBuf>,
    /// API group of Cluster API, and prefix of its annotations
    #[arg(long, value_name = "GROUP", default_value = client::CLUSTER_API)]
    pub(super) cluster_api_group: String,
    /// Namespace of Prewarm's own objects (Lease, ConfigMaps)
    #[arg(long, value_name = "NAME", env = "PREWARM_NAMESPACE", default_value = "prewarm")]
    pub(super) namespace: String,
}

impl ClusterFlags {
    pub(super) async fn connect(&self) -> anyhow::Result<Clients> {
        let access = Access {
            kubeconfig: self.kubeconfig.clone(),
            management_kubeconfig: self.management_kubeconfig.clone(),
        };
        Ok(client::connect(&access).await?)
    }

    /// Where Cluster API is. A cluster that does not answer is asked again; `None` = interrupted.
    pub(super) async fn discover(
        &self,
        clients: &Clients,
        stop: &CancellationToken,
    ) -> anyhow::Result<Option<ClusterApi>> {
        loop {
            let asked = client::discover(&clients.management, &self.cluster_api_group);
            let Some(found) = or_stopped(stop, asked).await else { return Ok(None) };
            match found {
                Ok(api) => return Ok(Some(api)),
                Err(fault @ (DiscoveryFault::TimedOut | DiscoveryFault::Unreachable(_))) => {
                    tracing::warn!(%fault, "trying again in 5 s");
                }
                Err(fault) => bail!("{fault}"),
            }
            if or_stopped(stop, tokio::time::sleep(Duration::from_secs(5))).await.is_none() {
                return Ok(None);
            }
        }
    }
}

/// What comes of `work`, or `None` if `stop` comes first.
pub(super) async fn or_stopped<T>(
    stop: &CancellationToken,
    work: impl Future<Output = T>,
) -> Option<T> {
    tokio::select! {
        () = stop.cancelled() => None,
        done = work => Some(done),
    }
}
