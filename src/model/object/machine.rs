//! Cluster API: MachineDeployment, MachineSet, Machine, in what versions v1beta1 and v1beta2 have in common.

use super::{Meta, Strings, node::Taint};
use crate::time::Timestamp;

/// A condition, `metav1` or Cluster API's own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Condition {
    /// Type.
    pub kind: String,
    /// `Some(true)` for `True`, `Some(false)` for `False`, `None` for `Unknown`.
    pub status: Option<bool>,
    /// One word.
    pub reason: String,
    /// A sentence.
    pub message: String,
    /// When the status last changed.
    pub since: Option<Timestamp>,
}

/// A MachineDeployment (or a MachineSet without one, where the provider has no deployments).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MachineDeployment {
    /// Metadata; of annotations all are kept.
    pub meta: Meta,
    /// `spec.replicas`.
    pub replicas: Option<i64>,
    /// `spec.clusterName`.
    pub cluster: String,
    /// `spec.paused` or the annotation `cluster.x-k8s.io/paused`.
    pub is_paused: bool,
    /// Labels its nodes' machines get: `spec.template.metadata.labels` and, where it is there,
    /// `spec.template.spec.metadata.labels`.
    pub template_labels: Strings,
    /// `spec.template.spec.taints`.
    pub template_taints: Vec<Taint>,
    /// `status.replicas`.
    pub current_replicas: u32,
    /// Conditions.
    pub conditions: Vec<Condition>,
    /// The controller has seen the newest spec.
    pub is_observed: bool,
}

/// A MachineSet.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MachineSet {
    /// Metadata; all annotations are kept.
    pub meta: Meta,
    /// Its MachineDeployment's name, by owner reference or label.
    pub deployment: Option<String>,
    /// `spec.replicas`.
    pub replicas: u32,
    /// `machinedeployment.clusters.x-k8s.io/revision`.
    pub revision: Option<u64>,
}

/// A Machine.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Machine {
    /// Metadata; all annotations are kept.
    pub meta: Meta,
    /// Its MachineDeployment's name, by label.
    pub deployment: Option<String>,
    /// Its MachineSet's name, by label or owner reference.
    pub set: Option<String>,
    /// `spec.providerID`, empty until known.
    pub provider_id: String,
    /// `status.nodeRef.name`.
    pub node: Option<String>,
    /// `status.phase`.
    pub phase: String,
    /// Why it will never come: `status.failureMessage`, phase `Failed`, or a condition that says so
    /// (`InfrastructureReady`, `BootstrapConfigReady`, `HealthCheckSucceeded` false for good).
    pub failure: Option<String>,
    /// Conditions.
    pub conditions: Vec<Condition>,
}
