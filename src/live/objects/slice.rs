//! ResourceSlices of DRA drivers (`resource.k8s.io/v1`).

use super::{CapiKeys, Facts, meta, or_default};
use crate::model::object::ResourceSlice;
use kube::core::{Object, object::NotUsed};
use serde::{Deserialize, de::IgnoredAny};

/// What is read of `spec`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct SliceSpec {
    driver: String,
    node_name: Option<String>,
    pool: SlicePool,
    #[serde(deserialize_with = "or_default")]
    devices: Vec<IgnoredAny>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct SlicePool {
    name: String,
    generation: i64,
    resource_slice_count: i64,
}

impl Facts for ResourceSlice {
    type Spec = SliceSpec;
    type Status = NotUsed;

    fn facts(object: Object<SliceSpec, NotUsed>, _keys: &CapiKeys) -> Self {
        let Object { metadata, spec, .. } = object;
        Self {
            meta: meta::meta(metadata, |_| false),
            driver: spec.driver,
            node: spec.node_name.filter(|name| !name.is_empty()),
            pool: spec.pool.name,
            generation: spec.pool.generation,
            slices: u32::try_from(spec.pool.resource_slice_count).unwrap_or_default(),
            devices: u32::try_from(spec.devices.len()).unwrap_or(u32::MAX),
        }
    }
}
