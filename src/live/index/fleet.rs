//! Nodes of pools over time: their numbers, since when they are where they are, and those that were asked
//! for and have no Machine yet.
//!
//! Between raised replicas and the Machines' creation a node exists nowhere but in a number. It gets a
//! number of its own here, which the next new Machine takes over, so that no node is asked for twice and
//! lead time counts from the request.

use super::{hardware::Hardware, members::Member, pools::Plan, usage::Usage};
use crate::{
    live::{
        actuate::marks::{
            CORDONED, HOLD_DECISION, HOLD_UNTIL, NUDGED_AT, SCALE_DOWN_DISABLED, parse_rfc3339,
        },
        look::PoolNode,
    },
    model::{
        Free, NodeId, NodeSnapshot, NodeStage, PoolSnapshot,
        object::{GpuSlices, Machine, Node},
    },
    readiness::{Expected, Readiness, readiness},
    time::Timestamp,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// What is remembered of a node.
#[derive(Clone, Copy, Debug)]
struct Known {
    id: NodeId,
    stage: Option<NodeStage>,
    since: Timestamp,
    /// All its GPUs were allocatable once.
    was_ready: bool,
    /// Its failure was told.
    was_refused: bool,
    idle_since: Option<Timestamp>,
}

/// Asked for, without a Machine.
#[derive(Clone, Copy, Debug)]
struct Asked {
    id: NodeId,
    since: Timestamp,
}

/// Nodes of all pools.
#[derive(Clone, Debug, Default)]
pub(super) struct Fleet {
    /// By uid of the Machine.
    machines: BTreeMap<String, Known>,
    /// By pool, oldest first.
    asked: BTreeMap<String, Vec<Asked>>,
    next: u32,
}

/// What stands beside the nodes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Around<'a> {
    pub(super) now: Timestamp,
    /// What is found failed at the first look failed some time ago.
    pub(super) is_first: bool,
    pub(super) usage: &'a BTreeMap<&'a str, Usage>,
    pub(super) slices: &'a BTreeMap<&'a str, GpuSlices>,
}

impl Fleet {
    pub(super) fn new(next: u32) -> Self {
        Self { next, ..Self::default() }
    }

    pub(super) const fn next(&self) -> u32 {
        self.next
    }

    fn number(&mut self) -> NodeId {
        let id = NodeId(self.next);
        self.next = self.next.saturating_add(1);
        id
    }

    /// Forgets Machines and pools that are not there any more.
    pub(super) fn forget(&mut self, machines: &BTreeSet<&str>, pools: &BTreeSet<&str>) {
        self.machines.retain(|uid, _| machines.contains(uid.as_str()));
        self.asked.retain(|pool, _| pools.contains(pool.as_str()));
    }

    /// All nodes of a pool: for the engine those that are not going, beside it all.
    pub(super) fn look(
        &mut self,
        plan: &Plan<'_>,
        around: &Around<'_>,
        told: &mut PoolSnapshot,
    ) -> Vec<PoolNode> {
        let mut nodes = Vec::with_capacity(plan.members.len());
        for member in plan.members {
            let (node, snapshot) = self.member(member, plan, around, told);
            told.nodes.extend(snapshot);
            nodes.push(node);
        }
        self.ask(plan, around.now);
        for asked in self.asked.get(&plan.key).into_iter().flatten() {
            told.nodes.push(requested(asked));
            nodes.push(unmade(asked.id));
        }
        told.nodes.sort_by_key(|node| node.id);
        nodes.sort_by_key(|node| node.id);
        nodes
    }

    /// Keeps as many nodes asked for as Machines are missing; the newest are called off first.
    fn ask(&mut self, plan: &Plan<'_>, now: Timestamp) {
        let made = plan.members.iter().filter(|member| !member.machine.meta.is_deleting).count();
        let missing = (plan.desired() as usize).saturating_sub(made);
        let mut asked = self.asked.remove(&plan.key).unwrap_or_default();
        asked.truncate(missing);
        while asked.len() < missing {
            asked.push(Asked { id: self.number(), since: now });
        }
        if !asked.is_empty() {
            self.asked.insert(plan.key.clone(), asked);
        }
    }

    fn member(
        &mut self,
        member: &Member<'_>,
        plan: &Plan<'_>,
        around: &Around<'_>,
        told: &mut PoolSnapshot,
    ) -> (PoolNode, Option<NodeSnapshot>) {
        let (hardware, now) = (&plan.hardware, around.now);
        let mut known = self.known(member.machine, plan, now);
        let name = member.node.map_or("", |node| node.meta.name.as_str());
        let slices = around.slices.get(name);
        let expected = Expected { gpus: hardware.gpus, resource: &hardware.resource };
        let readiness =
            readiness(Some(member.machine), member.node, expected, slices, known.was_ready);
        known.was_ready |= readiness.is_usable();
        if matches!(readiness, Readiness::Failed(_)) {
            told.was_refused |= !known.was_refused && !around.is_first;
            known.was_refused = true;
        }
        known.enter(readiness.stage(), member, now);
        let usage = around.usage.get(name);
        let snapshot = readiness
            .stage()
            .map(|_| known.snapshot(&readiness, member, hardware, slices, usage, now));
        self.machines.insert(member.machine.meta.uid.clone(), known);
        (beside(known.id, Some(member.machine), member.node, readiness, usage), snapshot)
    }

    /// A Machine seen for the first time takes over what was asked for first.
    fn known(&mut self, machine: &Machine, plan: &Plan<'_>, now: Timestamp) -> Known {
        if let Some(known) = self.machines.get(&machine.meta.uid) {
            return *known;
        }
        let asked = self.asked.get_mut(&plan.key).filter(|asked| !asked.is_empty());
        let asked = asked.filter(|_| !machine.meta.is_deleting).map(|asked| asked.remove(0));
        let created = machine.meta.created.min(now);
        let (id, since) = match asked {
            Some(asked) => (asked.id, asked.since),
            None => (self.number(), created),
        };
        Known { id, stage: None, since, was_ready: false, was_refused: false, idle_since: None }
    }
}

impl Known {
    /// Notes the stage. A node that is Ready and for a moment is not (its container runtime restarts with
    /// the driver) does not go back.
    fn enter(&mut self, stage: Option<NodeStage>, member: &Member<'_>, now: Timestamp) {
        let stage = match (self.stage, stage) {
            (Some(NodeStage::Warming), Some(NodeStage::Requested)) => Some(NodeStage::Warming),
            (_, stage) => stage,
        };
        if self.stage == stage {
            return;
        }
        let ready_at =
            member.node.and_then(|node| node.condition("Ready")).and_then(|one| one.since);
        self.since = match (self.stage, stage) {
            (_, None) => now,
            (None, Some(NodeStage::Requested)) => self.since,
            // When it became Ready its Node tells; when its GPUs did, nobody does.
            (None, _) | (Some(NodeStage::Requested), Some(NodeStage::Warming)) => {
                // A Node's clock that is wrong tells nothing.
                ready_at.filter(|at| (self.since..=now).contains(at)).unwrap_or(now)
            }
            _ => now,
        };
        self.stage = stage;
    }

    fn snapshot(
        &mut self,
        readiness: &Readiness,
        member: &Member<'_>,
        hardware: &Hardware,
        slices: Option<&GpuSlices>,
        usage: Option<&Usage>,
        now: Timestamp,
    ) -> NodeSnapshot {
        let stage = self.stage.unwrap_or(NodeStage::Requested);
        let is_requested = stage == NodeStage::Requested;
        let (gpus, free_gpus) = match member.node {
            Some(node) if !is_requested => gpus(readiness, node, hardware, slices, usage),
            // Its Node is gone: nothing is free, and nothing says that it comes back.
            None if stage == NodeStage::Usable => (hardware.gpus, 0),
            _ => (0, 0),
        };
        let is_idle = readiness.is_usable()
            && member.node.is_some_and(|node| !is_closed(node))
            && usage.is_none_or(|usage| usage.jobs == 0 && usage.pods == 0);
        self.idle_since = is_idle.then(|| self.idle_since.unwrap_or(now));
        let left = member.node.filter(|_| !is_requested).map(|node| {
            let (cpu, memory) = usage.map_or((0, 0), |usage| (usage.cpu_milli, usage.memory_bytes));
            let cpu = node.allocatable.cpu_milli.saturating_sub(cpu);
            let memory = node.allocatable.memory_bytes.saturating_sub(memory) >> 20;
            (clip(cpu), clip(memory))
        });
        NodeSnapshot {
            id: self.id,
            stage,
            since: self.since,
            gpus,
            free: Free {
                gpus: free_gpus,
                shared: Vec::new(),
                cpu_milli: left.map(|(cpu, _)| cpu).filter(|_| hardware.cpu_milli.is_some()),
                memory_mib: left
                    .map(|(_, memory)| memory)
                    .filter(|_| hardware.memory_mib.is_some()),
            },
            idle_since: self.idle_since,
        }
    }
}

/// GPUs the engine counts on, and those of them nobody uses. What is between the first and the pool's GPUs
/// per node it takes for coming, so GPUs that are lost count as there and in use.
fn gpus(
    readiness: &Readiness,
    node: &Node,
    hardware: &Hardware,
    slices: Option<&GpuSlices>,
    usage: Option<&Usage>,
) -> (u32, u32) {
    let counted = node.allocatable.extended.get(&hardware.resource).copied().unwrap_or_default();
    let dra = slices.filter(|slices| slices.is_complete && counted == 0);
    let there = dra.map_or_else(|| clip(counted), |slices| slices.devices).min(hardware.gpus);
    let used = usage.map_or(0, |usage| usage.gpus(&hardware.resource));
    // Which devices a claim has is not read: a node with one counts as full.
    let used = if usage.is_some_and(|usage| usage.has_claims) { hardware.gpus } else { used };
    let is_cordoned = is_closed(node);
    match readiness {
        _ if readiness.comes_back() && is_cordoned => (used.min(hardware.gpus), 0),
        _ if readiness.comes_back() => (there, there.saturating_sub(used)),
        Readiness::Degraded { gpus, .. } if !is_cordoned => {
            (hardware.gpus, there.min(*gpus).saturating_sub(used))
        }
        _ if is_cordoned => (hardware.gpus, 0),
        _ if readiness.is_usable() => (hardware.gpus, there.saturating_sub(used)),
        _ => (there, there.saturating_sub(used)),
    }
}

/// Cordoned by somebody else. Our own cordon is the first step of a removal that goes on only while the node
/// is decided to be idle, and that ends with an uncordon as soon as a job has use for it.
fn is_closed(node: &Node) -> bool {
    node.is_unschedulable && !node.meta.annotations.contains_key(CORDONED)
}

fn clip(amount: u64) -> u32 {
    u32::try_from(amount).unwrap_or(u32::MAX)
}

fn requested(asked: &Asked) -> NodeSnapshot {
    NodeSnapshot {
        id: asked.id,
        stage: NodeStage::Requested,
        since: asked.since,
        gpus: 0,
        free: Free::default(),
        idle_since: None,
    }
}

fn unmade(id: NodeId) -> PoolNode {
    PoolNode {
        id,
        machine: None,
        node: None,
        node_version: String::new(),
        readiness: Readiness::Requested,
        hold_until: None,
        hold_decision: None,
        is_touched: false,
        is_scale_down_disabled: false,
        is_unschedulable: false,
        is_cordoned_by_us: false,
        pods: 0,
    }
}

/// What is told of a node beside its part of the snapshot.
pub(super) fn beside(
    id: NodeId,
    machine: Option<&Arc<Machine>>,
    node: Option<&Node>,
    readiness: Readiness,
    usage: Option<&Usage>,
) -> PoolNode {
    let meta = node.map(|node| &node.meta);
    let annotation = |key: &str| meta.and_then(|meta| meta.annotations.get(key));
    let is_unschedulable = node.is_some_and(|node| node.is_unschedulable);
    PoolNode {
        id,
        machine: machine.cloned(),
        node: meta.map(|meta| meta.name.clone()),
        node_version: meta.map(|meta| meta.resource_version.clone()).unwrap_or_default(),
        readiness,
        hold_until: annotation(HOLD_UNTIL).and_then(|text| parse_rfc3339(text)),
        hold_decision: annotation(HOLD_DECISION).cloned(),
        is_touched: annotation(NUDGED_AT).is_some(),
        is_scale_down_disabled: annotation(SCALE_DOWN_DISABLED).is_some_and(|text| text == "true"),
        is_unschedulable,
        is_cordoned_by_us: is_unschedulable && annotation(CORDONED).is_some(),
        pods: usage.map_or(0, |usage| usage.pods),
    }
}
