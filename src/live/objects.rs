//! Objects of the API, parsed into facts: `kube::core::Object` with structs of only the fields that
//! somebody here uses, so that a watch keeps nothing else of an object.
//!
//! What is malformed inside an object that could be read costs that field, not the object: amounts that
//! cannot be read count as nothing, and what decides (annotations) is kept as text and judged by the index.
//! Source: Kubernetes 1.33-1.36 API, Cluster API v1.11-v1.14 (v1beta1 and v1beta2 in one tolerant struct).

pub mod annotations;
mod autoscaler;
mod capi;
mod keys;
mod meta;
mod node;
mod pod;
mod resources;
mod slice;
#[cfg(test)]
mod tests;

pub use autoscaler::{autoscaler, autoscaler_status};
pub use capi::{
    DeploymentSpec, DeploymentStatus, MachineSetSpec, MachineSpec, MachineStatus, RawCondition,
};
pub use keys::{CAPI_GROUP, CapiKeys};
pub use node::{NodeSpec, NodeStatus};
pub use pod::{PodSpec, PodStatus, is_mirror};
pub use slice::SliceSpec;

use super::gpu_pool::{GpuPool, GpuPoolSpec};
use crate::{
    config::parse_duration,
    model::object::{Meta, PriorityClass},
    time::{Millis, Timestamp},
};
use k8s_openapi::api::scheduling::v1 as scheduling;
use kube::core::Object;
use serde::{Deserialize, Deserializer, de::DeserializeOwned};
use std::fmt::Debug;

/// Facts that an object of the API with a `spec` tells.
pub trait Facts: Sized {
    /// The fields of `spec` that are read.
    type Spec: DeserializeOwned + Clone + Debug + Send + Sync + 'static;
    /// The fields of `status` that are read.
    type Status: DeserializeOwned + Default + Clone + Debug + Send + Sync + 'static;

    /// What the object tells. `keys`: names under the group of Cluster API in use.
    fn facts(object: Object<Self::Spec, Self::Status>, keys: &CapiKeys) -> Self;
}

/// Our own object as the index takes it.
#[derive(Clone, Debug, PartialEq)]
pub struct PoolObject {
    /// Metadata; all annotations are kept.
    pub meta: Meta,
    /// `metadata.generation`.
    pub generation: i64,
    /// Settings.
    pub spec: GpuPoolSpec,
}

/// What a `GpuPool` tells.
pub fn pool(object: GpuPool) -> PoolObject {
    PoolObject {
        generation: object.metadata.generation.unwrap_or_default(),
        meta: meta::meta(object.metadata, |_| true),
        spec: object.spec,
    }
}

/// What a `PriorityClass` tells.
pub fn priority_class(object: scheduling::PriorityClass) -> PriorityClass {
    PriorityClass { value: object.value, meta: meta::meta(object.metadata, keys::is_ours) }
}

/// A duration as Go writes it: `5m`, `1h30m`, `90s`; `None` if it is not one. Unlike in scenario files
/// there are no days and weeks.
pub fn go_duration(text: &str) -> Option<Millis> {
    let has_days = text.contains(['d', 'w']);
    parse_duration(text).filter(|_| !has_days)
}

/// An instant as the API writes it (RFC 3339).
fn instant(text: &str) -> Option<Timestamp> {
    text.parse::<jiff::Timestamp>().ok().map(|at| Timestamp(at.as_millisecond()))
}

/// `null` counts as not given.
fn or_default<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(
    deserializer: D,
) -> Result<T, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}
