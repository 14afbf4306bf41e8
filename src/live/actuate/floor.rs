//! cluster-autoscaler's min-size as a lever: raised, it makes cluster-autoscaler buy (with
//! `--enforce-node-group-min-size=true`), and the nodes are its own, so it neither buys twice nor removes them.
//!
//! Two dangers, both seen with cluster-autoscaler 1.36. A min above the max, or one that is no integer, on one
//! MachineDeployment stops it for *all* groups: so a floor is written in one patch, never above the max, and
//! goes at once when somebody lowers the max. A floor that Machines do not reach for 15 minutes, with one node
//! registered, stops it too: so the floor goes down when Machines fail or are late.

use super::{
    marks::{self, FloorMark},
    orders::Plan,
    pool::{self, Scene},
    raise::{self, Raised},
    write::{Restored, Write},
};
use crate::{
    live::gpu_pool::Backend, model::object::MachineDeployment, readiness::Readiness,
    time::Timestamp,
};

/// Asks for `to` nodes through the floor; if cluster-autoscaler has not acted in time, through `/scale`.
pub(super) fn raise(scene: &Scene<'_>, from: u32, to: u32) -> Raised {
    let min = scene.target.autoscaler_limits.map_or(0, |(min, _)| min);
    let mark = scene.floor_mark();
    let until = scene.now + scene.orders.lead_p90 + scene.settings.margin + scene.orders.hold;
    if min < to {
        let users = mark.map_or_else(|| users_min(scene, min), |mark| mark.user_min);
        let write = write(scene, min, to, users, until);
        return Raised { writes: vec![write], nodes: 0, is_floor_fresh: true };
    }
    let Some(mark) = mark else {
        // The user's own minimum is above what there is: cluster-autoscaler is at it.
        return Raised { is_floor_fresh: true, ..Raised::default() };
    };
    let is_late = mark.since + scene.settings.floor_fallback <= scene.now;
    if is_late && !scene.autoscaler_asked() {
        return raise::replicas(scene, from, to);
    }
    Raised { is_floor_fresh: true, ..Raised::default() }
}

/// The min-size before our first floor; `None` = the annotation was not there.
fn users_min(scene: &Scene<'_>, min: u32) -> Option<u32> {
    let key = marks::min_size(&scene.settings.group);
    scene.target.deployment.meta.annotations.contains_key(&key).then_some(min)
}

fn write(scene: &Scene<'_>, from: u32, to: u32, user_min: Option<u32>, until: Timestamp) -> Write {
    let (target, since) = (scene.object(), scene.now);
    Write::Floor { target, from, to, user_min, since, until }
}

/// A floor was raised and cluster-autoscaler has not had its time to act on it.
pub(super) fn is_fresh(scene: &Scene<'_>) -> bool {
    let Some(mark) = scene.floor_mark() else { return false };
    mark.since + scene.settings.floor_fallback > scene.now
}

/// A Machine of the pool will not come.
pub(super) fn has_failed_machine(scene: &Scene<'_>) -> bool {
    scene.pool.nodes.iter().any(|node| matches!(node.readiness, Readiness::Failed(_)))
}

/// Lowers the floor if it is over, dangerous or not needed any more; true if it did.
pub(super) fn lower_if_over(scene: &Scene<'_>, plan: &mut Plan) -> bool {
    let Some(mark) = scene.floor_mark() else { return false };
    let pool = Some(scene.index);
    if is_over(scene, mark) {
        let group = &scene.settings.group;
        // Paused objects are left alone, unless the floor does harm where it is.
        if scene.target.deployment.is_paused && scene.target.annotation_fault.is_none() {
            return false;
        }
        plan.add(pool, restore(&scene.target.deployment, group));
        return true;
    }
    if let Some(write) = follow_removals(scene, mark) {
        plan.add(pool, Some(write));
        return true;
    }
    false
}

fn is_over(scene: &Scene<'_>, mark: FloorMark) -> bool {
    let registered = scene.pool.nodes.iter().filter(|node| node.node.is_some());
    let registered = registered.filter(|node| !pool::is_gone(node)).count();
    let is_short = mark.floor.is_none_or(|floor| registered < floor as usize);
    let is_late = mark.since + scene.settings.floor_freeze <= scene.now;
    mark.until <= scene.now
        || mark.floor.is_none()
        || scene.pool.spec.actuation.backend == Backend::Replicas
        || scene.target.annotation_fault.is_some()
        || scene.target.autoscaler_limits.is_none()
        || has_failed_machine(scene)
        || (is_short && is_late)
}

/// Nodes are to go: a floor above what remains would keep them.
fn follow_removals(scene: &Scene<'_>, mark: FloorMark) -> Option<Write> {
    let going = scene.orders.remove.len() as u32;
    let (floor, remaining) = (mark.floor?, scene.replicas()?.saturating_sub(going));
    let users = mark.user_min.unwrap_or(0);
    let is_ours = scene.target.autoscaler_limits.is_some_and(|(min, _)| min == floor);
    if going == 0 || remaining >= floor || !is_ours || scene.obstacle().is_some() {
        return None;
    }
    if remaining <= users {
        return restore(&scene.target.deployment, &scene.settings.group);
    }
    let (target, since, until) = (scene.object(), mark.since, mark.until);
    let user_min = mark.user_min;
    Some(Write::Floor { target, from: floor, to: remaining, user_min, since, until })
}

/// Gives the user's min-size back, if there is a floor of ours. What somebody else has written since stays.
pub(super) fn restore(deployment: &MachineDeployment, group: &str) -> Option<Write> {
    let annotations = &deployment.meta.annotations;
    let mark = FloorMark::read(annotations)?;
    let number = |key: String| annotations.get(&key).and_then(|text| text.parse::<u32>().ok());
    let is_ours = mark.floor.is_some() && number(marks::min_size(group)) == mark.floor;
    let max = number(marks::max_size(group)).unwrap_or(u32::MAX);
    let min = match mark.user_min {
        _ if !is_ours => Restored::Untouched,
        Some(min) => Restored::To(min.min(max)),
        None => Restored::Removed,
    };
    Some(Write::FloorRestore { target: pool::object(&deployment.meta), min })
}
