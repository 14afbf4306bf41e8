//! The only place that changes a cluster (our own status, Events and the Lease aside, which have small
//! modules of their own). [`plan`](plan()) is pure and says what to write and what it refuses; [`execute`] writes it.
//!
//! | module | what for |
//! |---|---|
//! | [`orders`] | what is asked for, what is planned and refused, settings |
//! | [`write`](mod@write) | every write there is |
//! | [`marks`] | our annotations and those of others, read and written |
//! | `raise`, `floor` | more nodes: `/scale`, or cluster-autoscaler's min-size |
//! | `holds` | cluster-autoscaler keeps its hands off new nodes, for a while |
//! | `delays` | it does not buy again for pods that nodes are coming for |
//! | `remove` | fewer nodes, step by step |
//! | [`wire`] | a write as an HTTP request |
//! | [`execute`] | the requests, one after the other, and the kill switch |
//!
//! **Invariant:** everything is decided anew from the cluster at each look; there is no memory. Each mark of ours
//! says when it ends, so a process that dies between any two writes leaves nothing that its successor does
//! not find, finish or take back (a test kills it after every write).
//!
//! **Invariant:** every write names the `resourceVersion` it was decided on. If anybody, cluster-autoscaler
//! included, wrote in between, the answer is 409 and the next look decides.

pub mod execute;
pub mod marks;
pub mod orders;
pub mod wire;
pub mod write;

mod delays;
mod floor;
mod holds;
mod pool;
mod raise;
mod remove;
#[cfg(test)]
mod tests;

pub use execute::{Actuator, Outcome, Switch};
pub use orders::{
    ActuationSettings, DecisionId, Orders, Plan, PoolOrders, Position, Reason, Refusal, Step,
};
pub use write::Write;

use super::{
    gpu_pool::Mode,
    look::{Look, STALE_AFTER},
};
use crate::time::Timestamp;
use pool::Reach;

/// What to write now. Pools in mode `Active` get what was ordered; from every other pool only what is left
/// of us is taken back. Without a switch that is on, or with an old picture, nothing is written.
pub fn plan(now: Timestamp, orders: &Orders, look: &Look, settings: &ActuationSettings) -> Plan {
    let mut plan = Plan::new(orders.id.clone());
    if settings.switch == Position::Off {
        plan.refuse(None, Reason::SwitchedOff, "the kill switch is off: nothing is written");
        return plan;
    }
    if settings.switch == Position::DryRun {
        plan.refuse(None, Reason::DryRun, "dry run: writes are told, none is sent");
    }
    if look.snapshot.sight.view_age > STALE_AFTER {
        let age = look.snapshot.sight.view_age;
        plan.refuse(None, Reason::StaleLook, format!("the view of the cluster is {age} old"));
        return plan;
    }
    take_back_strays(look, settings, &mut plan);
    for (index, pool) in look.pools.iter().enumerate() {
        if pool.spec.mode == Mode::Active {
            pool::plan(now, index, orders, look, settings, &mut plan);
        } else {
            pool::take_back(index, pool, settings, Reach::Everything, now, &mut plan);
            tell_mode(index, pool.spec.mode, orders, &mut plan);
        }
    }
    delays::take_back(now, look, settings, Reach::Expired, &mut plan);
    plan
}

/// Takes everything of ours back, in all pools, whatever their mode: on shutdown and for `prewarm release`.
pub fn release_all(
    now: Timestamp,
    id: DecisionId,
    look: &Look,
    settings: &ActuationSettings,
) -> Plan {
    let mut plan = Plan::new(id);
    if settings.switch == Position::Off {
        plan.refuse(None, Reason::SwitchedOff, "the kill switch is off: nothing is taken back");
        return plan;
    }
    // There is no next look that would take back the rest.
    let settings = &ActuationSettings { most_pods: usize::MAX, ..settings.clone() };
    take_back_strays(look, settings, &mut plan);
    for (index, pool) in look.pools.iter().enumerate() {
        pool::take_back(index, pool, settings, Reach::Everything, now, &mut plan);
    }
    delays::take_back(now, look, settings, Reach::Everything, &mut plan);
    plan
}

/// Touches a node so that kube-scheduler asks again about pods that were refused.
pub fn touch(now: Timestamp, id: DecisionId, node: String, version: String) -> Plan {
    let node = write::Object { namespace: String::new(), name: node, version };
    let mut plan = Plan::new(id);
    plan.add(None, Some(Write::TouchNode { node, at: now }));
    plan
}

fn take_back_strays(look: &Look, settings: &ActuationSettings, plan: &mut Plan) {
    for node in &look.stray_nodes {
        plan.add(None, holds::release(node, true));
        for write in remove::undo(node) {
            plan.add(None, Some(write));
        }
    }
    for deployment in &look.stray_deployments {
        plan.add(None, floor::restore(deployment, &settings.group));
        plan.add(None, holds::forget_pending(deployment));
    }
}

fn tell_mode(index: usize, mode: Mode, orders: &Orders, plan: &mut Plan) {
    let Some(order) = orders.pools.get(index).filter(|order| !order.is_empty()) else { return };
    let (create, remove) = (order.create, order.remove.len());
    let message = format!("mode {mode:?}: would create {create} and remove {remove} nodes");
    plan.refuse(Some(index), Reason::NotActive, message);
}
