//! One pool: what stands against writing, within which bounds, and the order of the writes.

use super::{
    delays, floor, holds,
    marks::FloorMark,
    orders::{ActuationSettings, Orders, Plan, PoolOrders, Reason},
    raise, remove,
    write::Object,
};
use crate::{
    live::{
        gpu_pool::ScaleDownBy,
        look::{Autoscaler, Look, PoolLook, PoolNode, Target},
    },
    model::object::{Machine, Meta},
    readiness::Readiness,
    time::Timestamp,
};

/// What is taken back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reach {
    /// What is over.
    Expired,
    /// All of ours.
    Everything,
}

/// All there is to know when a pool is planned.
pub(super) struct Scene<'a> {
    pub(super) now: Timestamp,
    pub(super) index: usize,
    pub(super) decision: String,
    pub(super) orders: &'a PoolOrders,
    pub(super) pool: &'a PoolLook,
    pub(super) target: &'a Target,
    pub(super) look: &'a Look,
    pub(super) settings: &'a ActuationSettings,
}

/// Between how many nodes a pool is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Bounds {
    pub(super) min: u32,
    pub(super) max: u32,
}

impl Scene<'_> {
    /// `spec.replicas`; the API allows no negative number.
    pub(super) fn replicas(&self) -> Option<u32> {
        self.target.deployment.replicas.and_then(|replicas| u32::try_from(replicas).ok())
    }

    pub(super) fn object(&self) -> Object {
        object(&self.target.deployment.meta)
    }

    pub(super) fn floor_mark(&self) -> Option<FloorMark> {
        FloorMark::read(&self.target.deployment.meta.annotations)
    }

    /// The stricter of our limits and cluster-autoscaler's; its minimum without our own floor.
    pub(super) fn bounds(&self) -> Bounds {
        let limits = &self.pool.spec.limits;
        let (written_min, max) = self.target.autoscaler_limits.unwrap_or((0, u32::MAX));
        let users_min = match self.floor_mark() {
            Some(mark) if mark.floor == Some(written_min) => mark.user_min.unwrap_or(0),
            _ => written_min,
        };
        Bounds {
            min: users_min.max(limits.min_replicas.unwrap_or(0)),
            max: max.min(limits.max_replicas.unwrap_or(u32::MAX)),
        }
    }

    /// cluster-autoscaler is there and its last word is not too old.
    pub(super) fn autoscaler_acts(&self) -> bool {
        match &self.look.autoscaler {
            Autoscaler::Absent => false,
            Autoscaler::Running { at, .. } => self.now - *at <= self.settings.autoscaler_silent,
            Autoscaler::Unreadable(_) => true,
        }
    }

    /// It has a request of its own for this pool, so that it counts all nodes that are coming.
    pub(super) fn autoscaler_asked(&self) -> bool {
        let Autoscaler::Running { requests, .. } = &self.look.autoscaler else { return false };
        let key = self.target.deployment.meta.key();
        let id = format!("{}/{key}", self.settings.scalable);
        requests.contains(&id)
    }

    /// What stands against changing the MachineDeployment.
    pub(super) fn obstacle(&self) -> Option<(Reason, String)> {
        let deployment = &self.target.deployment;
        let key = deployment.meta.key();
        let (reason, message) = if deployment.meta.is_deleting {
            (Reason::Deleting, format!("{key} is being deleted"))
        } else if deployment.is_paused {
            (Reason::Paused, format!("{key} is paused: remove the annotation or spec.paused"))
        } else if self.target.is_rolling_out {
            (
                Reason::RollingOut,
                format!("{key} is being rolled out: an older MachineSet has replicas"),
            )
        } else if self.target.is_topology_owned {
            let message = "the Cluster's topology sets the replicas of this MachineDeployment: remove them there";
            (Reason::TopologyOwned, format!("{key}: {message}"))
        } else if let Some(fault) = &self.target.annotation_fault {
            (
                Reason::BadAnnotation,
                format!("{key}: {fault}; cluster-autoscaler stops for all groups"),
            )
        } else if self.replicas().is_none() {
            (Reason::NoReplicas, format!("{key} has no spec.replicas"))
        } else {
            return None;
        };
        Some((reason, message))
    }
}

/// The object with that metadata, as it was seen.
pub(super) fn object(meta: &Meta) -> Object {
    Object {
        namespace: meta.namespace.clone(),
        name: meta.name.clone(),
        version: meta.resource_version.clone(),
    }
}

/// The Node, once it has registered.
pub(super) fn node_object(node: &PoolNode) -> Option<Object> {
    let name = node.node.clone()?;
    Some(Object { namespace: String::new(), name, version: node.node_version.clone() })
}

/// It is going, or will never come: nothing is to be done with it.
pub(super) fn is_gone(node: &PoolNode) -> bool {
    let is_deleting = node.machine.as_ref().is_some_and(|machine| machine.meta.is_deleting);
    is_deleting || matches!(node.readiness, Readiness::Leaving | Readiness::Failed(_))
}

/// A Machine that exists and is not being deleted: counts against replicas.
pub(super) fn living_machine(node: &PoolNode) -> Option<&Machine> {
    node.machine.as_deref().filter(|machine| !machine.meta.is_deleting)
}

/// Plans a pool in mode `Active`: first what is over is taken back, then what was ordered.
pub(super) fn plan(
    now: Timestamp,
    index: usize,
    orders: &Orders,
    look: &Look,
    settings: &ActuationSettings,
    plan: &mut Plan,
) {
    let Some(pool) = look.pools.get(index) else { return };
    let none = PoolOrders::default();
    let ordered = orders.pools.get(index).unwrap_or(&none);
    let Some(target) = &pool.target else {
        take_back(index, pool, settings, Reach::Everything, now, plan);
        let (namespace, name) = (&pool.namespace, &pool.name);
        let message =
            format!("the target of {namespace}/{name} does not exist: check spec.targetRef");
        plan.refuse(Some(index), Reason::TargetMissing, message);
        return;
    };
    let decision = orders.id.to_string();
    let scene = Scene { now, index, decision, orders: ordered, pool, target, look, settings };
    act(&scene, plan);
}

fn act(scene: &Scene<'_>, plan: &mut Plan) {
    let pool = Some(scene.index);
    // A node that we remove ourselves stays held until it is gone: two must not remove it.
    let goes_by_others = scene.pool.spec.actuation.scale_down == ScaleDownBy::ClusterAutoscaler;
    for node in &scene.pool.nodes {
        let is_to_go = goes_by_others && scene.orders.remove.contains(&node.id);
        let is_over = node.hold_until.is_some_and(|until| until <= scene.now) || node.pods > 0;
        if is_over || is_to_go {
            plan.add(pool, holds::release(node, false));
        }
    }
    if scene.obstacle().is_none_or(|(reason, _)| reason != Reason::Deleting) {
        let lowered = floor::lower_if_over(scene, plan);
        let raised = raise::raise(scene, lowered, plan);
        delays::plan(scene, &raised, plan);
        for write in &raised.writes {
            plan.add(pool, Some(write.clone()));
        }
        if raised.writes.is_empty() {
            plan.add(pool, holds::forget_if_over(scene));
        }
    }
    holds::place(scene, plan);
    remove::plan(scene, plan);
}

/// Takes back what is ours in a pool of any mode.
pub(super) fn take_back(
    index: usize,
    pool: &PoolLook,
    settings: &ActuationSettings,
    reach: Reach,
    now: Timestamp,
    plan: &mut Plan,
) {
    for node in pool.nodes.iter().filter(|node| !is_gone(node)) {
        let is_over = node.hold_until.is_some_and(|until| until <= now);
        if is_over || reach == Reach::Everything {
            plan.add(Some(index), holds::release(node, reach == Reach::Everything));
        }
        if reach == Reach::Everything {
            for write in remove::undo(node) {
                plan.add(Some(index), Some(write));
            }
        }
    }
    let Some(target) = pool.target.as_ref().filter(|target| !target.deployment.meta.is_deleting)
    else {
        return;
    };
    if reach == Reach::Everything {
        plan.add(Some(index), floor::restore(&target.deployment, &settings.group));
        plan.add(Some(index), holds::forget_pending(&target.deployment));
    }
}
