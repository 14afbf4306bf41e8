//! The pools of a look: one for each `GpuPool`, and discovered ones.

use super::{
    IndexSettings,
    capacity::{Declared, is_annotated, node_group},
    findings::Note,
    hardware::Hardware,
    members::{Member, Members},
    store::Store,
};
use crate::{
    live::{
        gpu_pool::{GpuPoolSpec, Mode},
        look::Target,
        objects::PoolObject,
    },
    model::{
        MAX_NODES,
        object::{MachineDeployment, MachineSet},
    },
    readiness::is_gpu_node,
};
use std::collections::{BTreeMap, BTreeSet};

/// Label by which cluster-autoscaler knows GPU nodes on Cluster API.
pub(super) const ACCELERATOR: &str = "cluster-api/accelerator";
const TOPOLOGY_OWNED: &str = "topology.cluster.x-k8s.io/owned";

/// A pool on its way through a look.
#[derive(Debug)]
pub(super) struct Plan<'a> {
    /// `namespace/name`.
    pub(super) key: String,
    pub(super) object: Option<&'a PoolObject>,
    pub(super) spec: GpuPoolSpec,
    pub(super) deployment: Option<&'a MachineDeployment>,
    pub(super) members: &'a [Member<'a>],
    pub(super) declared: Declared,
    pub(super) hardware: Hardware,
    pub(super) notes: Vec<Note>,
}

/// All pools, by namespace and name: with no price known nothing else says which is preferred.
pub(super) fn plans<'a>(
    pools: &'a Store<PoolObject>,
    deployments: &'a Store<MachineDeployment>,
    members: &'a Members<'a>,
    settings: &IndexSettings,
) -> Vec<Plan<'a>> {
    let mut claimed = BTreeSet::new();
    let mut plans: BTreeMap<String, Plan<'a>> = BTreeMap::new();
    for (key, object) in pools.iter() {
        let mut notes = Vec::new();
        let deployment = target(object, deployments, &mut claimed, &mut notes);
        let plan = plan(key.clone(), Some(object), object.spec.clone(), deployment, members, notes);
        plans.insert(key.clone(), plan);
    }
    let others =
        deployments.iter().filter(|(key, _)| settings.discovery && !claimed.contains(*key));
    for (key, deployment) in others {
        if is_annotated(deployment, &settings.keys) && !plans.contains_key(key) {
            let spec = GpuPoolSpec { mode: Mode::Shadow, ..GpuPoolSpec::defaults() };
            let plan = plan(key.clone(), None, spec, Some(deployment), members, Vec::new());
            let has_gpu_nodes = || plan.members.iter().any(|one| one.node.is_some_and(is_gpu_node));
            if plan.declared.has_gpus() || has_gpu_nodes() {
                plans.insert(key.clone(), plan);
            }
        }
    }
    plans.into_values().collect()
}

fn plan<'a>(
    key: String,
    object: Option<&'a PoolObject>,
    spec: GpuPoolSpec,
    deployment: Option<&'a MachineDeployment>,
    members: &'a Members<'a>,
    mut notes: Vec<Note>,
) -> Plan<'a> {
    let declared = deployment.map(|found| Declared::read(found, &mut notes)).unwrap_or_default();
    let members = deployment.map_or(&[][..], |found| members.of(found));
    Plan { key, object, spec, deployment, members, declared, hardware: Hardware::default(), notes }
}

fn target<'a>(
    object: &PoolObject,
    deployments: &'a Store<MachineDeployment>,
    claimed: &mut BTreeSet<String>,
    notes: &mut Vec<Note>,
) -> Option<&'a MachineDeployment> {
    let told = object.spec.target_ref.as_ref();
    if let Some(kind) = told.map(|told| &told.kind).filter(|kind| *kind != "MachineDeployment") {
        notes.push(Note::bad_setting(format!("targetRef.kind: {kind:?} is not MachineDeployment")));
        return None;
    }
    let name = told.map_or(&object.meta.name, |told| &told.name);
    let key = format!("{}/{name}", object.meta.namespace);
    let Some(found) = deployments.get(&key) else {
        notes.push(Note::new("TargetNotFound", format!("there is no MachineDeployment {key}")));
        return None;
    };
    if !claimed.insert(key.clone()) {
        let what = format!("another GpuPool has MachineDeployment {key} already; this one is idle");
        notes.push(Note::bad_setting(what));
        return None;
    }
    Some(found)
}

impl Plan<'_> {
    /// Nodes asked for.
    pub(super) fn desired(&self) -> u32 {
        let told = self.deployment.filter(|found| !found.meta.is_deleting);
        told.map_or(0, |found| {
            let replicas = found.replicas.unwrap_or_else(|| i64::from(found.current_replicas));
            u32::try_from(replicas.max(0)).unwrap_or(MAX_NODES).min(MAX_NODES)
        })
    }

    /// What is scaled, and the limits that hold: those of cluster-autoscaler and of the settings together.
    pub(super) fn target(
        &mut self,
        sets: &Store<MachineSet>,
        settings: &IndexSettings,
    ) -> (Option<Target>, Limits) {
        let current = self.desired();
        let Some(deployment) = self.deployment else { return (None, Limits::stuck(current)) };
        let group = node_group(deployment, &settings.keys);
        let annotation_fault = group.as_ref().err().cloned();
        if let Some(fault) = &annotation_fault {
            let what = format!(
                "MachineDeployment {}: {fault}; this blinds cluster-autoscaler for all node groups, \
                 correct it; until then the pool stays at {current}",
                deployment.meta.key()
            );
            self.notes.push(Note::bad_annotation(what));
        }
        let autoscaler_limits = group.unwrap_or_default();
        let limits = if annotation_fault.is_some() {
            Limits::stuck(current)
        } else {
            Limits::both(autoscaler_limits, &self.spec, current, &mut self.notes)
        };
        let target = Target {
            autoscaler_limits,
            annotation_fault,
            is_rolling_out: is_rolling_out(deployment, sets),
            is_topology_owned: deployment.meta.labels.contains_key(TOPOLOGY_OWNED),
            deployment: deployment.clone(),
        };
        (Some(target), limits)
    }
}

/// An older MachineSet still has replicas.
fn is_rolling_out(deployment: &MachineDeployment, sets: &Store<MachineSet>) -> bool {
    let meta = &deployment.meta;
    let own = || {
        sets.values().filter(|set| {
            set.meta.namespace == meta.namespace && set.deployment.as_ref() == Some(&meta.name)
        })
    };
    let newest = own().filter_map(|set| set.revision).max();
    own().any(|set| set.replicas > 0 && set.revision < newest)
}

/// Nodes a pool may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Limits {
    pub(super) min: u32,
    pub(super) max: u32,
}

impl Limits {
    /// As it is now, whatever anybody wants.
    const fn stuck(current: u32) -> Self {
        Self { min: current, max: current }
    }

    /// Where nobody says how many nodes there may be, none are added.
    fn both(
        group: Option<(u32, u32)>,
        spec: &GpuPoolSpec,
        current: u32,
        notes: &mut Vec<Note>,
    ) -> Self {
        let told = &spec.limits;
        let (lower, upper) = group.map_or((0, None), |(min, max)| (min, Some(max)));
        let min = lower.max(told.min_replicas.unwrap_or_default()).min(MAX_NODES);
        let max = [upper, told.max_replicas].into_iter().flatten().min();
        let Some(max) = max else {
            let what =
                "neither limits.maxReplicas nor a node group maximum is set; no node is added";
            notes.push(Note::new("NoMaximum", what));
            return Self { min: min.min(current), max: current };
        };
        if min > max {
            let what = format!(
                "limits: minimum {min} is above maximum {max} once cluster-autoscaler's are applied; \
                 the pool stays at {current}"
            );
            notes.push(Note::bad_setting(what));
            return Self::stuck(current);
        }
        Self { min, max: max.min(MAX_NODES) }
    }
}
