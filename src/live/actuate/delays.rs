//! Waiting pods that nodes are coming for are hidden from cluster-autoscaler (`pod-scale-up-delay`), because
//! since 1.36 it counts only nodes it asked for itself and would buy a second time.
//!
//! Only as many pods as fit onto the nodes that are coming, oldest first, each until the last of them should
//! be there (90 % quantile of the lead time and a margin). Whatever goes wrong, the delay ends by itself.

use super::{
    marks,
    orders::{ActuationSettings, Plan, Reason},
    pool::{self, Reach, Scene},
    raise::Raised,
    write::{Object, Write},
};
use crate::{
    live::{
        gpu_pool::Mode,
        look::{Look, PoolNode, WaitingPod},
    },
    readiness::Readiness,
    time::{Millis, Timestamp},
};

/// A node on its way: when it should be there, and what of it nobody has yet.
struct Coming {
    by: Timestamp,
    free_milli: u64,
}

/// Delays what is covered, shows what is not, and tells if cluster-autoscaler may buy again.
pub(super) fn plan(scene: &Scene<'_>, raised: &Raised, plan: &mut Plan) {
    let mut coming = coming(scene, raised.nodes);
    let is_quiet = raised.is_floor_fresh || !scene.autoscaler_acts() || scene.autoscaler_asked();
    let (mut left, mut exposed) = (scene.settings.most_pods, 0_u32);
    let pods = scene.look.waiting.iter().filter(|pod| pod.pool == Some(scene.index));
    for pod in pods {
        let by = take(&mut coming, pod.gpu_milli);
        let is_hidden = hidden_until(pod).is_some_and(|until| until > scene.now);
        let write = match by {
            Some(by) if !is_hidden && !is_quiet && may_delay(scene, pod) => {
                Some(delay(scene, pod, by))
            }
            None if pod.is_delay_ours => Some(Write::UndelayPod { pod: object(pod) }),
            _ => None,
        };
        let is_delayed = matches!(write, Some(Write::DelayPod { .. })) && left > 0;
        if by.is_some() && !is_hidden && !is_quiet && !is_delayed {
            exposed += 1;
        }
        if let Some(write) = write.filter(|_| left > 0) {
            left -= 1;
            plan.add(Some(scene.index), Some(write));
        }
    }
    if exposed > 0 {
        let message = format!(
            "cluster-autoscaler may buy nodes for {exposed} waiting pods that nodes are coming for already: \
             they cannot be delayed (annotation {} is not ours, or the setting is off)",
            marks::POD_DELAY
        );
        plan.refuse(Some(scene.index), Reason::AutoscalerMayBuyAgain, message);
    }
}

/// Nodes without all their GPUs that are not overdue, and those asked for now; soonest first.
fn coming(scene: &Scene<'_>, asked: u32) -> Vec<Coming> {
    let lead = scene.orders.lead_p90 + scene.settings.margin;
    let pool = scene.look.settings.pools.get(scene.index);
    let free_milli = u64::from(pool.map_or(0, |pool| pool.pool.gpus_per_node)) * 1000;
    let is_coming = |node: &&PoolNode| {
        let is_there = matches!(node.readiness, Readiness::Allocatable | Readiness::Validated);
        !is_there && !pool::is_gone(node)
    };
    let made = |node: &PoolNode| node.machine.as_ref().map_or(scene.now, |m| m.meta.created);
    let known = scene.pool.nodes.iter().filter(is_coming).map(|node| made(node) + lead);
    let new = std::iter::repeat_n(scene.now + lead, asked as usize);
    let mut coming: Vec<Coming> =
        known.chain(new).filter(|&by| by > scene.now).map(|by| Coming { by, free_milli }).collect();
    coming.sort_by_key(|node| node.by);
    coming
}

/// Room for a pod on the first node that has it; when that node should be there.
fn take(coming: &mut [Coming], gpu_milli: u64) -> Option<Timestamp> {
    let node = coming.iter_mut().find(|node| gpu_milli > 0 && node.free_milli >= gpu_milli)?;
    node.free_milli -= gpu_milli;
    Some(node.by)
}

fn hidden_until(pod: &WaitingPod) -> Option<Timestamp> {
    let delay = marks::parse_go_duration(pod.scale_up_delay.as_deref()?)?;
    Some(pod.created + delay)
}

/// Never over a delay that somebody else wrote.
fn may_delay(scene: &Scene<'_>, pod: &WaitingPod) -> bool {
    scene.settings.delay_pods && (pod.scale_up_delay.is_none() || pod.is_delay_ours)
}

/// cluster-autoscaler compares the delay with the pod's age.
fn delay(scene: &Scene<'_>, pod: &WaitingPod, by: Timestamp) -> Write {
    let delay = (by - pod.created).max(Millis::from_secs(1));
    Write::DelayPod { pod: object(pod), delay, decision: scene.decision.clone() }
}

fn object(pod: &WaitingPod) -> Object {
    Object {
        namespace: pod.namespace.clone(),
        name: pod.name.clone(),
        version: pod.resource_version.clone(),
    }
}

/// Shows pods again that have their node, and those that no pool in mode `Active` provides for; with
/// [`Reach::Everything`] all.
pub(super) fn take_back(
    now: Timestamp,
    look: &Look,
    settings: &ActuationSettings,
    reach: Reach,
    plan: &mut Plan,
) {
    let is_planned = |pod: &WaitingPod| {
        let pool = pod.pool.and_then(|index| look.pools.get(index));
        pool.is_some_and(|pool| pool.spec.mode == Mode::Active && pool.target.is_some())
    };
    let is_over = |pod: &WaitingPod| hidden_until(pod).is_none_or(|until| until <= now);
    let waiting = look.waiting.iter().filter(|pod| {
        pod.is_delay_ours && (reach == Reach::Everything || (!is_planned(pod) || is_over(pod)))
    });
    let placed = look.delayed_pods.iter();
    for pod in placed.chain(waiting).take(settings.most_pods) {
        let object = object(pod);
        let is_written = plan.writes.iter().any(|step| *step.write.object() == object);
        if !is_written {
            plan.add(pod.pool, Some(Write::UndelayPod { pod: object }));
        }
    }
}
