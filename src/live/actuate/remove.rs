//! Fewer nodes.
//!
//! `ClusterAutoscaler`: our hold is released (see `holds`), it does the rest. `Prewarm`: step by step, one step a
//! look, each from what the cluster shows: cordon; look again, still empty; mark the Machine and lower
//! replicas by one (Cluster API deletes marked Machines first). A node that is not to go any more, or that
//! somebody uses, goes back the same way: mark off, uncordon.
//!
//! Between lowering and the deletion there are more living Machines than replicas: so many marked ones are
//! going already and are left alone.

use super::{
    marks,
    orders::{Plan, Reason},
    pool::{self, Scene},
    write::Write,
};
use crate::live::{
    gpu_pool::ScaleDownBy,
    look::{PoolLook, PoolNode},
};

/// The next step of every removal of the pool.
pub(super) fn plan(scene: &Scene<'_>, plan: &mut Plan) {
    let by_us = scene.pool.spec.actuation.scale_down == ScaleDownBy::Prewarm;
    if !by_us && !scene.orders.remove.is_empty() && !scene.autoscaler_acts() {
        let message =
            "scaleDown is ClusterAutoscaler and cluster-autoscaler does not run: set Prewarm";
        plan.refuse(Some(scene.index), Reason::NobodyRemoves, message);
    }
    let obstacle = if by_us && scene.orders.create == 0 { scene.obstacle() } else { None };
    let is_allowed = by_us && scene.orders.create == 0 && obstacle.is_none();
    if let Some((reason, message)) = obstacle.filter(|_| !scene.orders.remove.is_empty()) {
        plan.refuse(Some(scene.index), reason, format!("no node is removed: {message}"));
    }
    let replicas = scene.replicas().unwrap_or(0);
    let mut removal = Removal {
        replicas,
        room: replicas.saturating_sub(scene.bounds().min),
        going: surplus(scene.pool, replicas),
    };
    for node in scene.pool.nodes.iter().filter(|node| !pool::is_gone(node)) {
        removal.step(scene, node, is_allowed, plan);
    }
}

/// Living Machines beyond the replicas: Cluster API is about to delete so many.
fn surplus(pool: &PoolLook, replicas: u32) -> u32 {
    let living = pool.nodes.iter().filter(|node| pool::living_machine(node).is_some()).count();
    (living as u32).saturating_sub(replicas)
}

struct Removal {
    replicas: u32,
    /// Nodes that may go before the minimum is reached.
    room: u32,
    /// Marked Machines that are going although nothing shows it yet.
    going: u32,
}

impl Removal {
    fn step(&mut self, scene: &Scene<'_>, node: &PoolNode, is_allowed: bool, plan: &mut Plan) {
        let pool = Some(scene.index);
        if is_marked(node) && self.going > 0 {
            self.going -= 1;
            return;
        }
        let is_ordered = scene.orders.remove.contains(&node.id);
        if !is_ordered || !is_allowed || node.pods > 0 || is_marked_by_others(scene, node) {
            for write in undo(node) {
                plan.add(pool, Some(write));
            }
            return;
        }
        if node.is_scale_down_disabled && node.hold_until.is_none() {
            let name = node.node.as_deref().unwrap_or_default();
            let message = format!("node {name} stays: somebody set {}", marks::SCALE_DOWN_DISABLED);
            plan.refuse(pool, Reason::HeldByOthers, message);
            return;
        }
        if self.room == 0 {
            let message = format!("no node goes: the minimum is {}", scene.bounds().min);
            if !plan.refusals.iter().any(|r| r.pool == pool && r.reason == Reason::AtMinimum) {
                plan.refuse(pool, Reason::AtMinimum, message);
            }
            for write in undo(node) {
                plan.add(pool, Some(write));
            }
            return;
        }
        self.room -= 1;
        self.advance(scene, node, plan);
    }

    fn advance(&mut self, scene: &Scene<'_>, node: &PoolNode, plan: &mut Plan) {
        let pool = Some(scene.index);
        let decision = scene.decision.clone();
        // Nobody can be on a node that has not registered: it needs no cordon.
        let is_closed = node.is_cordoned_by_us || node.is_unschedulable;
        if let Some(object) = pool::node_object(node).filter(|_| !is_closed) {
            plan.add(pool, Some(Write::Cordon { node: object, decision }));
            return;
        }
        if let Some(machine) = node.machine.as_ref().filter(|_| !is_marked(node)) {
            let machine = pool::object(&machine.meta);
            plan.add(pool, Some(Write::MarkMachine { machine, decision }));
        }
        let (target, from) = (scene.object(), self.replicas);
        self.replicas -= 1;
        plan.add(pool, Some(Write::Scale { target, from, to: self.replicas }));
    }
}

fn is_marked(node: &PoolNode) -> bool {
    let annotations = pool::living_machine(node).map(|machine| &machine.meta.annotations);
    annotations.is_some_and(|annotations| annotations.contains_key(marks::MARKED))
}

/// cluster-autoscaler or a person is deleting this one.
fn is_marked_by_others(scene: &Scene<'_>, node: &PoolNode) -> bool {
    let key = marks::delete_machine(&scene.settings.group);
    let annotations = pool::living_machine(node).map(|machine| &machine.meta.annotations);
    annotations.is_some_and(|annotations| annotations.contains_key(&key)) && !is_marked(node)
}

/// Takes back what was begun to remove a node: the mark first, so that it is not deleted once it is open.
pub(super) fn undo(node: &PoolNode) -> Vec<Write> {
    let machine = node.machine.as_ref().filter(|_| is_marked(node));
    let unmark = machine.map(|m| Write::UnmarkMachine { machine: pool::object(&m.meta) });
    let object = pool::node_object(node).filter(|_| node.is_cordoned_by_us);
    let uncordon = object.map(|node| Write::Uncordon { node });
    unmark.into_iter().chain(uncordon).collect()
}
