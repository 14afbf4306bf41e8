//! More nodes, by `/scale` or by cluster-autoscaler's min-size.
//!
//! `Auto` is `Floor` where cluster-autoscaler runs, has the pool as a node group and is known to enforce
//! minimums (`floor_enforced`); then it buys itself and counts the nodes as its own. Otherwise it is `Replicas`.

use super::{
    floor, holds,
    orders::{Plan, Reason},
    pool::Scene,
    write::Write,
};
use crate::live::gpu_pool::Backend;

/// What a raise comes to.
#[derive(Clone, Debug, Default)]
pub(super) struct Raised {
    /// In order; after the delays of pods.
    pub(super) writes: Vec<Write>,
    /// Nodes that we ask for ourselves with these writes.
    pub(super) nodes: u32,
    /// cluster-autoscaler has been told by a floor and has had no time to act.
    pub(super) is_floor_fresh: bool,
}

/// Raises the pool by what was ordered, as far as it may. `lowered`: the floor goes down in this plan.
pub(super) fn raise(scene: &Scene<'_>, lowered: bool, plan: &mut Plan) -> Raised {
    let create = scene.orders.create;
    if create == 0 {
        return Raised { is_floor_fresh: floor::is_fresh(scene), ..Raised::default() };
    }
    let pool = Some(scene.index);
    if let Some((reason, message)) = scene.obstacle() {
        plan.refuse(pool, reason, format!("{create} nodes are not asked for: {message}"));
        return Raised::default();
    }
    let from = scene.replicas().unwrap_or(0);
    let max = scene.bounds().max;
    let wanted = from.saturating_add(create);
    let to = wanted.min(max);
    if to < wanted {
        let message =
            format!("{wanted} nodes are needed, the maximum is {max} and there are {from}");
        plan.refuse(pool, Reason::AtMaximum, message);
    }
    if to <= from {
        return Raised::default();
    }
    match backend(scene, lowered, plan) {
        Backend::Floor => floor::raise(scene, from, to),
        Backend::Auto | Backend::Replicas => replicas(scene, from, to),
    }
}

/// Patches `/scale`; if cluster-autoscaler may remove the nodes, notes first that they are to be held.
pub(super) fn replicas(scene: &Scene<'_>, from: u32, to: u32) -> Raised {
    let nodes = to - from;
    let mut writes = Vec::new();
    if scene.target.autoscaler_limits.is_some() {
        let until = scene.now + scene.orders.lead_p90 + scene.settings.margin + scene.orders.hold;
        writes.extend(holds::note(scene, nodes, until));
    }
    writes.push(Write::Scale { target: scene.object(), from, to });
    Raised { writes, nodes, is_floor_fresh: false }
}

/// The lever to use now: never `Auto`.
fn backend(scene: &Scene<'_>, lowered: bool, plan: &mut Plan) -> Backend {
    let wanted = match scene.pool.spec.actuation.backend {
        Backend::Auto if scene.settings.floor_enforced && scene.autoscaler_acts() => Backend::Floor,
        Backend::Auto => Backend::Replicas,
        chosen => chosen,
    };
    if wanted != Backend::Floor {
        return Backend::Replicas;
    }
    let against = if scene.target.autoscaler_limits.is_none() {
        "the target is no node group of cluster-autoscaler (min and max annotations)"
    } else if !scene.autoscaler_acts() {
        "cluster-autoscaler does not run, or has been silent for long"
    } else if lowered || floor::has_failed_machine(scene) {
        "Machines fail or do not register, and a floor they do not reach stops cluster-autoscaler"
    } else if is_autoscaler_blind(scene) {
        "a bad annotation of another group stops cluster-autoscaler"
    } else {
        return Backend::Floor;
    };
    let message = format!("replicas are raised instead of the floor: {against}");
    plan.refuse(Some(scene.index), Reason::FloorNotUsed, message);
    Backend::Replicas
}

fn is_autoscaler_blind(scene: &Scene<'_>) -> bool {
    let targets = scene.look.pools.iter().filter_map(|pool| pool.target.as_ref());
    targets.into_iter().any(|target| target.annotation_fault.is_some())
}
