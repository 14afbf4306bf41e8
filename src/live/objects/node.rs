//! Nodes.

use super::{
    CapiKeys, Facts, RawCondition, meta, or_default,
    resources::{Amounts, resources},
};
use crate::{
    model::object::{Effect, Node, Taint},
    readiness::WAITS_FOR_SAFE_LOAD,
};
use kube::core::Object;
use serde::Deserialize;

/// What is read of `spec`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct NodeSpec {
    #[serde(rename = "providerID")]
    provider_id: Option<String>,
    unschedulable: Option<bool>,
    #[serde(deserialize_with = "or_default")]
    taints: Vec<RawTaint>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct RawTaint {
    key: String,
    #[serde(deserialize_with = "or_default")]
    value: String,
    #[serde(deserialize_with = "or_default")]
    effect: String,
}

/// What is read of `status`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct NodeStatus {
    #[serde(deserialize_with = "or_default")]
    capacity: Amounts,
    #[serde(deserialize_with = "or_default")]
    allocatable: Amounts,
    #[serde(deserialize_with = "or_default")]
    conditions: Vec<RawCondition>,
    #[serde(deserialize_with = "or_default")]
    node_info: NodeInfo,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct NodeInfo {
    #[serde(rename = "bootID", deserialize_with = "or_default")]
    boot_id: String,
}

impl Facts for Node {
    type Spec = NodeSpec;
    type Status = NodeStatus;

    fn facts(object: Object<NodeSpec, NodeStatus>, keys: &CapiKeys) -> Self {
        let Object { metadata, spec, status, .. } = object;
        let status = status.unwrap_or_default();
        Self {
            meta: meta::meta(metadata, |key| keys.is_kept(key) || key == WAITS_FOR_SAFE_LOAD),
            provider_id: spec.provider_id.unwrap_or_default(),
            is_unschedulable: spec.unschedulable.unwrap_or_default(),
            taints: spec.taints.into_iter().filter_map(taint).collect(),
            conditions: status.conditions.into_iter().map(Into::into).collect(),
            boot_id: status.node_info.boot_id,
            capacity: resources(&status.capacity),
            allocatable: resources(&status.allocatable),
        }
    }
}

pub(super) fn taint(raw: RawTaint) -> Option<Taint> {
    Some(Taint { effect: effect(&raw.effect)?, key: raw.key, value: raw.value })
}

pub(super) fn effect(text: &str) -> Option<Effect> {
    match text {
        "NoSchedule" => Some(Effect::NoSchedule),
        "PreferNoSchedule" => Some(Effect::PreferNoSchedule),
        "NoExecute" => Some(Effect::NoExecute),
        _ => None,
    }
}
