//! Clients of the two clusters, and where Cluster API is in the management cluster.
//!
//! The workload cluster has pods and nodes, the management cluster MachineDeployments, Machines and our own
//! objects; they may be one. The rule for what is left out is cluster-autoscaler's (`--kubeconfig`,
//! `--cloud-config`): no management kubeconfig = the workload cluster; neither = the cluster we run in.

use axum::http::{HeaderValue, header::USER_AGENT};
use kube::{
    Client, Config,
    config::{KubeConfigOptions, Kubeconfig, KubeconfigError},
    discovery::{self, ApiGroup, ApiResource},
};
use std::{
    path::{Path, PathBuf},
    time::Duration,
};

/// A connection that is not made by then never will be.
const CONNECT: Duration = Duration::from_secs(5);
/// Longer than a watch lasts (the server ends it after at most 295 s here), so that only a dead
/// connection runs into it.
const READ: Duration = Duration::from_secs(330);
/// A request body that is not gone by then.
const WRITE: Duration = Duration::from_secs(10);
/// Discovery of a group, all its versions.
const DISCOVERY: Duration = Duration::from_secs(20);

/// Group of Cluster API, where nothing else is said.
pub const CLUSTER_API: &str = "cluster.x-k8s.io";

/// How the clusters are reached.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Access {
    /// Kubeconfig of the workload cluster; `None` = `KUBECONFIG`, `~/.kube/config`, or the cluster we run in.
    pub kubeconfig: Option<PathBuf>,
    /// Kubeconfig of the management cluster; `None` = the same cluster.
    pub management_kubeconfig: Option<PathBuf>,
}

/// A client of each cluster.
#[derive(Clone)]
pub struct Clients {
    /// Pods, nodes, queues.
    pub workload: Client,
    /// Cluster API and our own objects.
    pub management: Client,
    /// Both are the same cluster.
    pub is_one: bool,
}

/// Why there is no client. The causes are told in the text and not again as `source`: they tell theirs.
#[derive(Debug, thiserror::Error)]
pub enum AccessError {
    /// A named kubeconfig cannot be used.
    #[error("kubeconfig {}: {cause}; check the path and its current-context", path.display())]
    Kubeconfig {
        /// Which.
        path: PathBuf,
        /// Why.
        cause: Box<KubeconfigError>,
    },
    /// Nothing is named and nothing is found.
    #[error(
        "no cluster to talk to: {0}; name one with --kubeconfig, or run in a pod with a service account"
    )]
    Nowhere(Box<kube::config::InferConfigError>),
    /// The settings are there, but no client can be made of them.
    #[error("the client of the {cluster} cluster cannot be made: {cause}")]
    Client {
        /// `workload` or `management`.
        cluster: &'static str,
        /// Why.
        cause: Box<kube::Error>,
    },
}

/// Makes both clients. Nothing is sent yet.
pub async fn connect(access: &Access) -> Result<Clients, AccessError> {
    let workload = client("workload", config(access.kubeconfig.as_deref()).await?)?;
    let Some(path) = access.management_kubeconfig.as_deref() else {
        return Ok(Clients { management: workload.clone(), workload, is_one: true });
    };
    let management = client("management", config(Some(path)).await?)?;
    Ok(Clients { workload, management, is_one: false })
}

async fn config(path: Option<&Path>) -> Result<Config, AccessError> {
    let mut config = match path {
        None => Config::infer().await.map_err(|error| AccessError::Nowhere(Box::new(error)))?,
        Some(path) => from_file(path).await.map_err(|cause| AccessError::Kubeconfig {
            path: path.to_owned(),
            cause: Box::new(cause),
        })?,
    };
    tune(&mut config);
    Ok(config)
}

async fn from_file(path: &Path) -> Result<Config, KubeconfigError> {
    Config::from_custom_kubeconfig(Kubeconfig::read_from(path)?, &KubeConfigOptions::default())
        .await
}

/// Our own time-outs and name, and no retries behind our back: whoever asks decides what a failure means.
pub fn tune(config: &mut Config) {
    config.connect_timeout = Some(CONNECT);
    config.read_timeout = Some(READ);
    config.reset_reader_on_write = true;
    config.write_timeout = Some(WRITE);
    config.default_retry = false;
    let agent = HeaderValue::from_static(concat!("prewarm/", env!("CARGO_PKG_VERSION")));
    config.headers.push((USER_AGENT, agent));
}

fn client(cluster: &'static str, config: Config) -> Result<Client, AccessError> {
    Client::try_from(config)
        .map_err(|cause| AccessError::Client { cluster, cause: Box::new(cause) })
}

/// Where Cluster API is: the group's preferred version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClusterApi {
    /// `cluster.x-k8s.io`, or a provider's own such as `machine.openshift.io`. Also the prefix of its
    /// annotations.
    pub group: String,
    /// The preferred version.
    pub version: String,
    /// What is scaled: MachineDeployments; MachineSets where there are no deployments (OpenShift).
    pub scalable: ApiResource,
    /// MachineSets.
    pub machine_sets: ApiResource,
    /// Machines.
    pub machines: ApiResource,
}

impl ClusterApi {
    /// There are MachineDeployments; otherwise MachineSets are scaled.
    pub fn has_deployments(&self) -> bool {
        self.scalable.kind == "MachineDeployment"
    }
}

/// Why Cluster API was not found.
#[derive(Debug, thiserror::Error)]
pub enum DiscoveryFault {
    /// The API server does not know the group.
    #[error(
        "the management cluster has no API group {group}: install Cluster API there, name the right cluster \
         with --management-kubeconfig, or another group with --cluster-api-group"
    )]
    NoGroup {
        /// Which.
        group: String,
    },
    /// The group is there without a kind we need.
    #[error(
        "API group {group}, version {version}, has no {kind}: its CRDs are incomplete; install those of this \
         version of Cluster API"
    )]
    NoKind {
        /// Which group.
        group: String,
        /// Its preferred version.
        version: String,
        /// What is missing.
        kind: &'static str,
    },
    /// The API server did not answer in time.
    #[error("the management cluster did not tell its API groups within {} s", DISCOVERY.as_secs())]
    TimedOut,
    /// The API server refused or could not be reached.
    #[error("the management cluster does not tell its API groups: {0}")]
    Unreachable(Box<kube::Error>),
}

/// Asks the management cluster for the preferred version of `group` and what is in it.
pub async fn discover(management: &Client, group: &str) -> Result<ClusterApi, DiscoveryFault> {
    let found = tokio::time::timeout(DISCOVERY, discovery::group(management, group))
        .await
        .map_err(|_| DiscoveryFault::TimedOut)?;
    let found = found.map_err(|error| match error {
        kube::Error::Discovery(_) => DiscoveryFault::NoGroup { group: group.to_owned() },
        other => DiscoveryFault::Unreachable(Box::new(other)),
    })?;
    cluster_api(&found)
}

fn cluster_api(found: &ApiGroup) -> Result<ClusterApi, DiscoveryFault> {
    let kind = |kind: &'static str| {
        found.recommended_kind(kind).map(|(resource, _)| resource).ok_or_else(|| {
            DiscoveryFault::NoKind {
                group: found.name().to_owned(),
                version: found.preferred_version_or_latest().to_owned(),
                kind,
            }
        })
    };
    let machine_sets = kind("MachineSet")?;
    Ok(ClusterApi {
        group: found.name().to_owned(),
        version: found.preferred_version_or_latest().to_owned(),
        scalable: kind("MachineDeployment").unwrap_or_else(|_| machine_sets.clone()),
        machine_sets,
        machines: kind("Machine")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::live::mock_api::MockApi;
    use serde_json::{Value, json};

    fn groups(name: &str) -> Value {
        let versions = json!([
            {"groupVersion": format!("{name}/v1beta2"), "version": "v1beta2"},
            {"groupVersion": format!("{name}/v1beta1"), "version": "v1beta1"},
        ]);
        let group = json!({"name": name, "versions": versions, "preferredVersion": versions[0]});
        json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": [group]})
    }

    fn resources(version: &str, kinds: &[(&str, &str)]) -> Value {
        let resources: Vec<Value> = kinds.iter().map(|(kind, plural)| json!({
            "name": plural, "singularName": "", "namespaced": true, "kind": kind, "verbs": ["get"],
        })).collect();
        json!({"kind": "APIResourceList", "groupVersion": version, "resources": resources})
    }

    const ALL: [(&str, &str); 3] = [
        ("MachineDeployment", "machinedeployments"),
        ("MachineSet", "machinesets"),
        ("Machine", "machines"),
    ];

    async fn discovered(
        group: &'static str,
        kinds: &'static [(&str, &str)],
    ) -> Result<ClusterApi, DiscoveryFault> {
        let api = MockApi::serve(move |line, _| match line {
            "GET /apis" => (200, groups(group)),
            line => (200, resources(line.trim_start_matches("GET /apis/"), kinds)),
        })
        .await;
        discover(&api.clients.management, CLUSTER_API).await
    }

    #[tokio::test]
    async fn the_preferred_version_is_taken() {
        let found = discovered(CLUSTER_API, &ALL).await.unwrap();
        assert_eq!(
            (found.version.as_str(), found.scalable.plural.as_str()),
            ("v1beta2", "machinedeployments")
        );
        assert!(found.has_deployments());
        let bare = discovered(CLUSTER_API, &ALL[1..]).await.unwrap();
        assert_eq!(bare.scalable.kind, "MachineSet");
    }

    #[tokio::test]
    async fn what_is_missing_is_named() {
        let group = discovered("apps", &ALL).await.unwrap_err().to_string();
        assert!(group.contains("no API group cluster.x-k8s.io"), "{group}");
        let kind = discovered(CLUSTER_API, &ALL[..2]).await.unwrap_err().to_string();
        assert!(kind.contains("has no Machine:"), "{kind}");
    }

    #[tokio::test]
    async fn a_kubeconfig_that_is_not_there_is_named() {
        let path = PathBuf::from("/does/not/exist");
        let access = Access { kubeconfig: Some(path), management_kubeconfig: None };
        let error = connect(&access).await.err().unwrap().to_string();
        assert!(error.contains("/does/not/exist"), "{error}");
    }
}
