//! A pod as the extender sees it, digested once a request.

use super::{Namespace, Policy};
use crate::{model::object::Pod, packing::Part, readiness::is_gpu_resource};

/// Annotations of pods: may use GPU nodes without a GPU; acceptable models, separated by commas; least memory
/// of a GPU in MiB; the NVLink domain it must be in.
const OPT_IN: &str = "prewarm.dev/gpu-node";
const MODELS: &str = "prewarm.dev/gpu-model";
const MEMORY: &str = "prewarm.dev/gpu-memory-mib";
const CLIQUE: &str = "prewarm.dev/gpu-clique";
/// Priority classes of what keeps nodes running.
const SYSTEM: [&str; 2] = ["system-node-critical", "system-cluster-critical"];
const MIB: u64 = 1 << 20;

/// What a pod asks of its node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ask {
    /// It keeps nodes running and may go anywhere: of a DaemonSet, static, of a system priority class or an
    /// exempt namespace.
    pub is_exempt: bool,
    /// It may use GPU nodes: it asks for GPUs or devices, or says so.
    pub needs_gpu_node: bool,
    /// It has ResourceClaims.
    pub has_claims: bool,
    /// GPU resources by name, sorted.
    pub gpus: Vec<(String, u64)>,
    /// Acceptable models, empty = any.
    pub models: Vec<String>,
    /// Least memory of a GPU, 0 = any.
    pub gpu_memory_mib: u64,
    /// The NVLink domain it must be in, empty = any.
    pub clique: String,
    /// The group it starts with (`namespace/name`), and how many members that needs.
    pub gang: Option<(String, u32)>,
    /// What it takes of a node, for scores.
    pub part: Part,
    /// What its namespace says.
    pub namespace: Namespace,
}

impl Ask {
    /// What the pod asks. A namespace nobody knows says nothing.
    pub fn new(pod: &Pod, namespace: Option<&Namespace>, policy: &Policy) -> Self {
        let told = |key: &str| pod.meta.annotations.get(key).map_or("", String::as_str).trim();
        let asked = pod.requests.extended.iter();
        let asked = asked.filter(|(name, amount)| **amount > 0 && is_gpu_resource(name));
        let gpus: Vec<(String, u64)> =
            asked.map(|(name, amount)| (name.clone(), *amount)).collect();
        let mut models = pod.gpu_models.clone();
        let listed = told(MODELS).split(',').map(str::trim).filter(|model| !model.is_empty());
        if models.is_empty() {
            models.extend(listed.map(str::to_owned));
        }
        let has_claims = !pod.claims.is_empty();
        let key = |name: &str| format!("{}/{name}", pod.meta.namespace);
        Self {
            is_exempt: is_exempt(pod, policy),
            needs_gpu_node: !gpus.is_empty() || has_claims || told(OPT_IN) == "true",
            has_claims,
            part: part(pod, &gpus),
            gpus,
            models,
            gpu_memory_mib: told(MEMORY).parse().unwrap_or_default(),
            clique: told(CLIQUE).to_owned(),
            gang: pod.gang.as_ref().map(|gang| (key(&gang.name), gang.min_members.unwrap_or(1))),
            namespace: namespace.cloned().unwrap_or_else(|| Namespace {
                name: pod.meta.namespace.clone(),
                ..Namespace::default()
            }),
        }
    }
}

fn is_exempt(pod: &Pod, policy: &Policy) -> bool {
    let owner = pod.meta.owner.as_ref().map_or("", |owner| owner.kind.as_str());
    matches!(owner, "DaemonSet" | "Node")
        || SYSTEM.contains(&pod.priority_class.as_str())
        || policy.exempt_namespaces.contains(&pod.meta.namespace)
}

/// What the pod takes of a node, GPUs of all names together.
fn part(pod: &Pod, gpus: &[(String, u64)]) -> Part {
    let devices = gpus.iter().fold(0, |sum: u64, (_, amount)| sum.saturating_add(*amount));
    let small = |amount: u64| u32::try_from(amount).unwrap_or(u32::MAX - 1);
    Part {
        devices: small(devices),
        milli: 1000,
        cpu_milli: small(pod.requests.cpu_milli),
        memory_mib: small(pod.requests.memory_bytes.div_ceil(MIB)),
    }
}
