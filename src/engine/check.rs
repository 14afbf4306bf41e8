//! What must hold of every decision, whatever the snapshot: the checks that a swarm of random worlds is
//! run against.

use super::{Decision, PoolReport, Settings};
use crate::{
    guard::ladder::{Cause, OLD},
    model::{Action, NodeId, NodeSnapshot, NodeStage, PoolSnapshot, Snapshot},
    time::Timestamp,
    units::GPU_MILLI,
};
use std::collections::BTreeSet;
use thiserror::Error;

/// A decision that should not have been made.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum Fault {
    /// More nodes than the pool may have.
    #[error("pool {pool}: {nodes} nodes asked for with {alive} there, maximum {max}")]
    AboveMax {
        /// Which pool.
        pool: usize,
        /// Nodes there are.
        alive: u32,
        /// Nodes asked for.
        nodes: u32,
        /// Nodes there may be.
        max: u32,
    },
    /// More nodes than all pools together may have.
    #[error("{nodes} nodes in all where {max} may be")]
    AboveBudget {
        /// Nodes there would be.
        nodes: u32,
        /// Nodes there may be.
        max: u32,
    },
    /// A node that does not exist, is not usable, has work, or is named twice goes.
    #[error("pool {pool}: node {node:?} is to go, which is no idle node")]
    NotIdle {
        /// Which pool.
        pool: usize,
        /// Which node.
        node: NodeId,
    },
    /// Fewer nodes than the pool shall always have.
    #[error("pool {pool}: {nodes} nodes left, minimum {min}")]
    BelowMin {
        /// Which pool.
        pool: usize,
        /// Nodes left.
        nodes: u32,
        /// Nodes that stay.
        min: u32,
    },
    /// Nodes go although a reactive controller would have them.
    #[error("pool {pool}: {nodes} nodes left where a reactive controller has {shadow}")]
    BelowShadow {
        /// Which pool.
        pool: usize,
        /// Nodes left.
        nodes: u32,
        /// Nodes of the reactive controller.
        shadow: u32,
    },
    /// A node goes shortly after it became usable although the ledger is not used up.
    #[error("pool {pool}: {young} nodes go within their minimum hold, {shed} for the ledger")]
    Held {
        /// Which pool.
        pool: usize,
        /// Nodes that go before their time.
        young: u32,
        /// Nodes that may.
        shed: u32,
    },
    /// Waiting work that could be served is not.
    #[error("pool {pool}: waiting work needs {firm} nodes, {nodes} asked for")]
    Unserved {
        /// Which pool.
        pool: usize,
        /// Nodes needed.
        firm: u32,
        /// Nodes asked for.
        nodes: u32,
    },
    /// Nodes are created and removed at once.
    #[error("pool {0}: creates and removes at once")]
    Both(usize),
    /// Nodes go while the cluster is not seen, or for being idle while a signal is not.
    #[error("pool {0}: removes nodes while blind")]
    Blind(usize),
    /// A signal that does not count asks for something, or one asks for more than it may.
    #[error("pool {pool}: signal `{name}` asks for {milli} thousandths of GPUs")]
    Signal {
        /// Which pool.
        pool: usize,
        /// Which signal.
        name: String,
        /// What it asks for.
        milli: u64,
    },
    /// The report says something else than the actions.
    #[error("pool {0}: report and actions differ")]
    Misreported(usize),
    /// The next look is not in the future.
    #[error("wakes at {0:?}, which is not in the future")]
    Asleep(Timestamp),
}

/// All faults of a decision made at `now` from `snapshot`; none is what should be.
pub fn check(
    now: Timestamp,
    snapshot: &Snapshot,
    settings: &Settings,
    decision: &Decision,
) -> Vec<Fault> {
    let mut faults = Vec::new();
    let mut nodes_in_all = 0;
    for (pool, report) in decision.why.iter().enumerate() {
        let told = &snapshot.pools[pool];
        check_pool(pool, told, settings, report, &decision.actions, &mut faults);
        let hold = settings.pools[pool].steps.min_hold;
        let is_young = |node: &&NodeSnapshot| {
            report.scale_down.nodes.contains(&node.id) && now < node.since + hold
        };
        let young = told.nodes.iter().filter(is_young).count() as u32;
        if young > report.scale_down.shed {
            faults.push(Fault::Held { pool, young, shed: report.scale_down.shed });
        }
        nodes_in_all += told.nodes.len() as u32 + report.observed.unseen_nodes + report.create;
    }
    let created = decision.why.iter().any(|report| report.create > 0);
    if let Some(max) = settings.max_nodes.filter(|&max| created && nodes_in_all > max) {
        faults.push(Fault::AboveBudget { nodes: nodes_in_all, max });
    }
    if decision.wake_at <= now {
        faults.push(Fault::Asleep(decision.wake_at));
    }
    faults
}

fn check_pool(
    pool: usize,
    told: &PoolSnapshot,
    settings: &Settings,
    report: &PoolReport,
    actions: &[Action],
    faults: &mut Vec<Fault>,
) {
    let spec = &settings.pools[pool].pool;
    let seen = told.nodes.len() as u32;
    let alive = seen.saturating_add(report.observed.unseen_nodes);
    let (mut nodes, mut gone) = (0, BTreeSet::new());
    for action in actions {
        match *action {
            Action::Create { pool: of, nodes: more } if of as usize == pool => nodes += more,
            Action::Remove { pool: of, node }
                if of as usize == pool && (!gone.insert(node) || !is_idle(told, node)) =>
            {
                faults.push(Fault::NotIdle { pool, node });
            }
            _ => {}
        }
    }
    let removed = gone.len() as u32;
    let left = alive + nodes - removed.min(alive);
    if let Some(max) = spec.max_nodes.filter(|&max| nodes > 0 && alive + nodes > max) {
        faults.push(Fault::AboveMax { pool, alive, nodes, max });
    }
    if removed > 0 && left < spec.min_nodes {
        faults.push(Fault::BelowMin { pool, nodes: left, min: spec.min_nodes });
    }
    let shadow = report.guarded.shadow_nodes;
    if removed > 0 && left < shadow {
        faults.push(Fault::BelowShadow { pool, nodes: left, shadow });
    }
    let firm = report.firm.nodes;
    if nodes < firm && settings.max_nodes.is_none() {
        faults.push(Fault::Unserved { pool, firm, nodes });
    }
    if nodes > 0 && removed > 0 {
        faults.push(Fault::Both(pool));
    }
    let causes = &report.guarded.causes;
    let is_frozen = removed > report.scale_down.shed && causes.iter().any(Cause::freezes);
    if is_frozen || (removed > 0 && causes.iter().any(Cause::is_blind)) {
        faults.push(Fault::Blind(pool));
    }
    faults.extend(signal_fault(pool, settings, report));
    let counted = left - report.observed.stuck_nodes;
    let says_so = report.create == nodes
        && report.scale_down.nodes.len() as u32 == removed
        && report.target_nodes == counted;
    if !says_so {
        faults.push(Fault::Misreported(pool));
    }
}

fn signal_fault(pool: usize, settings: &Settings, report: &PoolReport) -> Option<Fault> {
    let of = settings.pools[pool].signals.iter().zip(&report.signals);
    let wrong = of.into_iter().find(|(settings, report)| {
        let max = settings.max_gpus.map(|max| u64::from(max) * u64::from(GPU_MILLI));
        let counts = report.is_in_use() && report.age.is_some_and(|age| age <= OLD);
        report.name != settings.name
            || (!counts && report.asks_milli > 0)
            || max.is_some_and(|max| report.asks_milli > max)
    });
    wrong.map(|(_, report)| Fault::Signal {
        pool,
        name: report.name.clone(),
        milli: report.asks_milli,
    })
}

fn is_idle(told: &PoolSnapshot, node: NodeId) -> bool {
    let found = told.nodes.iter().find(|other| other.id == node);
    found.is_some_and(|node| node.stage == NodeStage::Usable && node.idle_since.is_some())
}
