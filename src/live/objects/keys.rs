//! Names of labels and annotations. Some carry the group of Cluster API, which can be another
//! (OpenShift's `machine.openshift.io`); the rest are the same everywhere.
//!
//! Source: cluster-autoscaler 1.36, `cloudprovider/clusterapi` (environment `CAPI_GROUP`).

/// The group of Cluster API unless it is configured.
pub const CAPI_GROUP: &str = "cluster.x-k8s.io";

/// Domains whose annotations are kept on pods and nodes.
const KEPT: [&str; 3] = ["prewarm.dev", CAPI_GROUP, "cluster-autoscaler.kubernetes.io"];

/// Names under the group of Cluster API in use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CapiKeys {
    group: String,
}

impl Default for CapiKeys {
    fn default() -> Self {
        Self::new(CAPI_GROUP)
    }
}

impl CapiKeys {
    /// Names under this group.
    pub fn new(group: impl Into<String>) -> Self {
        Self { group: group.into() }
    }

    /// The group.
    pub fn group(&self) -> &str {
        &self.group
    }

    /// On a MachineDeployment: fewest nodes for cluster-autoscaler.
    pub fn min_size(&self) -> String {
        self.of("cluster-api-autoscaler-node-group-min-size")
    }

    /// On a MachineDeployment: most nodes for cluster-autoscaler.
    pub fn max_size(&self) -> String {
        self.of("cluster-api-autoscaler-node-group-max-size")
    }

    /// On a Machine: goes first when replicas are lowered.
    pub fn delete_machine(&self) -> String {
        self.of("delete-machine")
    }

    /// On a Node: its Machine's name.
    pub fn machine(&self) -> String {
        self.of("machine")
    }

    /// On a Node: its Machine's namespace.
    pub fn cluster_namespace(&self) -> String {
        self.of("cluster-namespace")
    }

    /// Whether an annotation of a pod or a node is kept.
    pub(super) fn is_kept(&self, key: &str) -> bool {
        is_ours(key) || is_under(key, &self.group)
    }

    fn of(&self, name: &str) -> String {
        format!("{}/{name}", self.group)
    }
}

/// Of a domain that somebody here reads.
pub(super) fn is_ours(key: &str) -> bool {
    KEPT.iter().any(|domain| is_under(key, domain))
}

fn is_under(key: &str, domain: &str) -> bool {
    key.strip_prefix(domain).is_some_and(|rest| rest.starts_with('/'))
}
