//! Cluster API: MachineDeployment, MachineSet, Machine, v1beta1 and v1beta2 in one tolerant struct each.

use super::{CapiKeys, Facts, instant, meta, node, or_default};
use crate::{
    model::object::{Condition, Machine, MachineDeployment, MachineSet, Meta, Strings},
    time::Timestamp,
};
use kube::core::{Object, object::NotUsed};
use serde::Deserialize;

const PAUSED: &str = "cluster.x-k8s.io/paused";
const DEPLOYMENT_NAME: &str = "cluster.x-k8s.io/deployment-name";
const SET_NAME: &str = "cluster.x-k8s.io/set-name";
const REVISION: &str = "machinedeployment.clusters.x-k8s.io/revision";
/// Conditions that tell why a Machine will not come.
const TELLING: [&str; 3] = ["HealthCheckSucceeded", "InfrastructureReady", "BootstrapConfigReady"];
/// Words in the reason of a false condition that say more than "not yet". The contract names no reasons:
/// these are of the providers for AWS, Azure, GCP, OpenStack and Metal3.
const FATAL: [&str; 8] =
    ["fail", "error", "insufficient", "quota", "outof", "stockout", "unavailable", "invalid"];

/// A condition as it is written, `metav1` or Cluster API's own.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct RawCondition {
    #[serde(rename = "type")]
    pub(super) kind: String,
    #[serde(deserialize_with = "or_default")]
    status: String,
    #[serde(deserialize_with = "or_default")]
    severity: String,
    #[serde(deserialize_with = "or_default")]
    pub(super) reason: String,
    #[serde(deserialize_with = "or_default")]
    pub(super) message: String,
    last_transition_time: Option<String>,
}

impl RawCondition {
    pub(super) fn is(&self, status: &str) -> bool {
        self.status == status
    }

    pub(super) fn since(&self) -> Option<Timestamp> {
        self.last_transition_time.as_ref().and_then(|text| instant(text))
    }
}

impl From<RawCondition> for Condition {
    fn from(raw: RawCondition) -> Self {
        let status = match raw.status.as_str() {
            "True" => Some(true),
            "False" => Some(false),
            _ => None,
        };
        let since = raw.since();
        Self { kind: raw.kind, status, reason: raw.reason, message: raw.message, since }
    }
}

/// What is read of a MachineDeployment's `spec`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct DeploymentSpec {
    replicas: Option<i64>,
    cluster_name: Option<String>,
    paused: Option<bool>,
    #[serde(deserialize_with = "or_default")]
    template: Template,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Template {
    #[serde(deserialize_with = "or_default")]
    metadata: Labelled,
    #[serde(deserialize_with = "or_default")]
    spec: TemplateSpec,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Labelled {
    #[serde(deserialize_with = "or_default")]
    labels: Strings,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct TemplateSpec {
    #[serde(deserialize_with = "or_default")]
    metadata: Labelled,
    #[serde(deserialize_with = "or_default")]
    taints: Vec<node::RawTaint>,
}

/// What is read of a MachineDeployment's `status`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct DeploymentStatus {
    replicas: Option<i64>,
    observed_generation: Option<i64>,
    #[serde(deserialize_with = "or_default")]
    conditions: Vec<RawCondition>,
}

impl Facts for MachineDeployment {
    type Spec = DeploymentSpec;
    type Status = DeploymentStatus;

    fn facts(object: Object<DeploymentSpec, DeploymentStatus>, _keys: &CapiKeys) -> Self {
        let Object { metadata, spec, status, .. } = object;
        let status = status.unwrap_or_default();
        let generation = metadata.generation.unwrap_or_default();
        let meta = meta::meta(metadata, |_| true);
        let mut template_labels = spec.template.metadata.labels;
        template_labels.extend(spec.template.spec.metadata.labels);
        Self {
            replicas: spec.replicas,
            cluster: spec.cluster_name.unwrap_or_default(),
            is_paused: spec.paused.unwrap_or_default() || meta.annotations.contains_key(PAUSED),
            template_labels,
            template_taints: spec
                .template
                .spec
                .taints
                .into_iter()
                .filter_map(node::taint)
                .collect(),
            current_replicas: count(status.replicas),
            conditions: status.conditions.into_iter().map(Into::into).collect(),
            is_observed: status.observed_generation.is_some_and(|seen| seen >= generation),
            meta,
        }
    }
}

/// What is read of a MachineSet's `spec`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct MachineSetSpec {
    replicas: Option<i64>,
}

impl Facts for MachineSet {
    type Spec = MachineSetSpec;
    type Status = NotUsed;

    fn facts(object: Object<MachineSetSpec, NotUsed>, _keys: &CapiKeys) -> Self {
        let meta = meta::meta(object.metadata, |_| true);
        let deployment =
            owner_of(&meta, "MachineDeployment").or_else(|| label(&meta, DEPLOYMENT_NAME));
        Self {
            deployment,
            replicas: count(object.spec.replicas),
            revision: meta.annotations.get(REVISION).and_then(|text| text.parse().ok()),
            meta,
        }
    }
}

/// What is read of a Machine's `spec`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct MachineSpec {
    #[serde(rename = "providerID")]
    provider_id: Option<String>,
}

/// What is read of a Machine's `status`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct MachineStatus {
    node_ref: Option<NodeRef>,
    phase: Option<String>,
    failure_message: Option<String>,
    failure_reason: Option<String>,
    deprecated: Option<Deprecated>,
    #[serde(deserialize_with = "or_default")]
    conditions: Vec<RawCondition>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct NodeRef {
    name: String,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Deprecated {
    v1beta1: Option<Failure>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Failure {
    failure_message: Option<String>,
    failure_reason: Option<String>,
}

impl Facts for Machine {
    type Spec = MachineSpec;
    type Status = MachineStatus;

    fn facts(object: Object<MachineSpec, MachineStatus>, _keys: &CapiKeys) -> Self {
        let Object { metadata, spec, status, .. } = object;
        let status = status.unwrap_or_default();
        let meta = meta::meta(metadata, |_| true);
        Self {
            deployment: label(&meta, DEPLOYMENT_NAME),
            set: owner_of(&meta, "MachineSet").or_else(|| label(&meta, SET_NAME)),
            provider_id: spec.provider_id.unwrap_or_default(),
            failure: failure(&status),
            node: status.node_ref.map(|node| node.name).filter(|name| !name.is_empty()),
            phase: status.phase.unwrap_or_default(),
            conditions: status.conditions.into_iter().map(Into::into).collect(),
            meta,
        }
    }
}

/// Why a Machine will never come. One that has its node has come: what happens to it later its node tells,
/// apart from a failed health check, after which it is replaced.
fn failure(status: &MachineStatus) -> Option<String> {
    let old = status.deprecated.as_ref().and_then(|old| old.v1beta1.as_ref());
    let told = status.failure_message.as_ref().or(status.failure_reason.as_ref()).or_else(|| {
        old.and_then(|old| old.failure_message.as_ref().or(old.failure_reason.as_ref()))
    });
    if let Some(told) = told.filter(|told| !told.is_empty()) {
        return Some(told.chars().take(LONGEST_FAILURE).collect());
    }
    let fatal = status.conditions.iter().find(|one| is_fatal(one, status.node_ref.is_some()));
    if let Some(one) = fatal {
        let said = format!("{}: {} {}", one.kind, one.reason, one.message);
        return Some(said.trim_end().chars().take(LONGEST_FAILURE).collect());
    }
    (status.phase.as_deref() == Some("Failed")).then(|| "its phase is Failed".to_owned())
}

const LONGEST_FAILURE: usize = 512;

fn is_fatal(one: &RawCondition, has_node: bool) -> bool {
    if !one.is("False") || !TELLING.contains(&one.kind.as_str()) {
        return false;
    }
    if one.kind == TELLING[0] {
        return true;
    }
    let reason = one.reason.to_ascii_lowercase();
    !has_node && (one.severity == "Error" || FATAL.iter().any(|word| reason.contains(word)))
}

fn owner_of(meta: &Meta, kind: &str) -> Option<String> {
    meta.owner.as_ref().filter(|owner| owner.kind == kind).map(|owner| owner.name.clone())
}

fn label(meta: &Meta, key: &str) -> Option<String> {
    meta.labels.get(key).cloned()
}

fn count(replicas: Option<i64>) -> u32 {
    let replicas = replicas.unwrap_or_default().max(0);
    u32::try_from(replicas).unwrap_or(u32::MAX)
}
