//! The index: news of objects in, at any instant a whole picture out.
//!
//! It keeps facts as they come and works out at each look what they mean, in an order that the facts give
//! (creation, names) and not the news: the same objects give the same picture, in whatever order they were
//! told. Instants that no object tells (when the GPUs of a node became allocatable, when replicas were
//! raised) are those of the first look that saw it. No clock, no I/O.

mod capacity;
pub(in crate::live) mod claims;
mod demand;
mod event;
mod findings;
mod fit;
mod fleet;
mod hardware;
mod members;
mod odd;
mod parts;
mod places;
mod pods;
mod pools;
mod schedule;
mod settings;
mod shapes;
mod signals;
pub(in crate::live) mod store;
mod strays;
#[cfg(test)]
mod tests;
mod tuning;
mod usage;

pub use event::{Event, Kind};
pub use settings::{Adopted, IndexSettings, Seeds};

use super::{
    look::{Autoscaler, Look},
    objects::PoolObject,
};
use crate::{
    engine::Settings,
    model::{
        PoolSnapshot, Sight, Snapshot,
        object::{Machine, MachineDeployment, MachineSet, Node, PriorityClass, ResourceSlice},
    },
    readiness::{is_gpu_node, is_gpu_resource},
    time::Timestamp,
    world::Placement,
};
use claims::slices;
use demand::{Desk, Numbers};
use findings::Findings;
use fleet::{Around, Fleet};
use hardware::{Hardware, Shown};
use members::Members;
use parts::{learn, pool_look, running_milli, strangers};
use places::Places;
use pods::Pods;
use pools::plans;
use shapes::{Owners, Shapes};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};
use store::Store;
use usage::usage;

/// See the module.
#[derive(Clone, Debug)]
pub struct Index {
    settings: IndexSettings,
    pods: Pods,
    nodes: Store<Node>,
    deployments: Store<MachineDeployment>,
    sets: Store<MachineSet>,
    machines: Store<Arc<Machine>>,
    classes: Store<PriorityClass>,
    pools: Store<PoolObject>,
    slices: Store<ResourceSlice>,
    autoscaler: Autoscaler,
    is_autoscaler_synced: bool,
    /// Told since its list began.
    is_autoscaler_listed: bool,
    fleet: Fleet,
    numbers: Numbers,
    /// By pool.
    shown: BTreeMap<String, Shown>,
    /// What pools held at the last look, and how often that has changed.
    hardware: Vec<(String, Hardware)>,
    generation: u64,
    /// Nodes that show GPUs.
    gpu_nodes: BTreeSet<String>,
    /// Nodes that have nothing to do with GPUs.
    strangers: BTreeSet<String>,
    before: Option<Timestamp>,
}

impl Index {
    /// Nothing is known yet.
    pub fn new(settings: IndexSettings) -> Self {
        let seeds = settings.seeds.clone();
        Self {
            settings,
            pods: Pods::default(),
            nodes: Store::default(),
            deployments: Store::default(),
            sets: Store::default(),
            machines: Store::default(),
            classes: Store::default(),
            pools: Store::default(),
            slices: Store::default(),
            autoscaler: Autoscaler::Absent,
            is_autoscaler_synced: false,
            is_autoscaler_listed: false,
            fleet: Fleet::new(seeds.next_node),
            numbers: Numbers {
                shapes: Shapes::new(seeds.shapes),
                owners: Owners::new(seeds.next_owner),
                next_job: seeds.next_job,
            },
            shown: BTreeMap::new(),
            hardware: Vec::new(),
            generation: 0,
            gpu_nodes: BTreeSet::new(),
            strangers: BTreeSet::new(),
            before: None,
        }
    }

    /// All lists were complete once. Before, a look would show a part for the whole.
    pub fn is_synced(&self) -> bool {
        Kind::ALL.iter().all(|&kind| self.is_kind_synced(kind))
    }

    /// The list of this kind was complete once.
    pub const fn is_kind_synced(&self, kind: Kind) -> bool {
        match kind {
            Kind::Pod => self.pods.tracked.is_synced(),
            Kind::Node => self.nodes.is_synced(),
            Kind::MachineDeployment => self.deployments.is_synced(),
            Kind::MachineSet => self.sets.is_synced(),
            Kind::Machine => self.machines.is_synced(),
            Kind::PriorityClass => self.classes.is_synced(),
            Kind::GpuPool => self.pools.is_synced(),
            Kind::ResourceSlice => self.slices.is_synced(),
            Kind::Autoscaler => self.is_autoscaler_synced,
            Kind::Namespace => true,
        }
    }

    /// Where numbering would go on after a restart, to be kept beside the engine's memory.
    pub fn seeds(&mut self) -> Seeds {
        Seeds {
            shapes: self.numbers.shapes.shared().to_vec(),
            next_job: self.numbers.next_job,
            next_node: self.fleet.next(),
            next_owner: self.numbers.owners.next(),
        }
    }

    /// Gives numbers to what is known of another time: its shapes one by one, its jobs and owners in a row.
    pub fn adopt(&mut self, other: &Seeds) -> Adopted {
        let Numbers { shapes, owners, next_job } = &mut self.numbers;
        let adopted = Adopted {
            shapes: other.shapes.iter().map(|shape| shapes.number(shape.clone())).collect(),
            first_job: *next_job,
            first_owner: owners.next(),
        };
        *next_job = next_job.wrapping_add(other.next_job);
        *owners = Owners::new(owners.next().saturating_add(other.next_owner));
        adopted
    }

    /// Takes news.
    pub fn apply(&mut self, event: Event) {
        match event {
            Event::Pod(pod) => {
                let Self { pods, strangers, .. } = self;
                pods.put(*pod, |node| !strangers.contains(node));
            }
            Event::PodGone { namespace, name, uid } => {
                self.pods.remove(&format!("{namespace}/{name}"), &uid);
            }
            Event::Node(mut node) => {
                node.conditions
                    .retain(|one| matches!(one.kind.as_str(), "Ready" | "nvidia.com/GPUReady"));
                let name = node.meta.key();
                if is_gpu_node(&node) {
                    self.gpu_nodes.insert(name.clone());
                } else {
                    self.gpu_nodes.remove(&name);
                }
                self.nodes.put(name, *node);
            }
            Event::MachineDeployment(one) => self.deployments.put(one.meta.key(), *one),
            Event::MachineSet(one) => self.sets.put(one.meta.key(), *one),
            Event::Machine(one) => self.machines.put(one.meta.key(), Arc::from(one)),
            Event::PriorityClass(one) => self.classes.put(one.meta.key(), one),
            Event::Pool(one) => self.pools.put(one.meta.key(), *one),
            Event::Slice(one) => self.slices.put(one.meta.key(), *one),
            Event::Autoscaler(status) => {
                self.autoscaler = status;
                self.is_autoscaler_listed = true;
            }
            Event::Namespace(_) => {}
            Event::Gone { kind, key } => self.gone(kind, &key),
            Event::Restarted(kind) => self.restarted(kind),
            Event::Synced(kind) => self.synced(kind),
        }
    }

    fn gone(&mut self, kind: Kind, key: &str) {
        match kind {
            Kind::Pod => self.pods.remove(key, ""),
            Kind::Node => self.forget_node(key),
            Kind::MachineDeployment => drop(self.deployments.remove(key)),
            Kind::MachineSet => drop(self.sets.remove(key)),
            Kind::Machine => drop(self.machines.remove(key)),
            Kind::PriorityClass => drop(self.classes.remove(key)),
            Kind::GpuPool => drop(self.pools.remove(key)),
            Kind::ResourceSlice => drop(self.slices.remove(key)),
            Kind::Autoscaler => self.autoscaler = Autoscaler::Absent,
            Kind::Namespace => {}
        }
    }

    fn forget_node(&mut self, name: &str) {
        self.nodes.remove(name);
        self.gpu_nodes.remove(name);
    }

    fn restarted(&mut self, kind: Kind) {
        match kind {
            Kind::Pod => self.pods.restart(),
            Kind::Node => self.nodes.restart(),
            Kind::MachineDeployment => self.deployments.restart(),
            Kind::MachineSet => self.sets.restart(),
            Kind::Machine => self.machines.restart(),
            Kind::PriorityClass => self.classes.restart(),
            Kind::GpuPool => self.pools.restart(),
            Kind::ResourceSlice => self.slices.restart(),
            Kind::Autoscaler => self.is_autoscaler_listed = false,
            Kind::Namespace => {}
        }
    }

    fn synced(&mut self, kind: Kind) {
        match kind {
            Kind::Pod => self.pods.sync(),
            Kind::Node => {
                for gone in self.nodes.sync() {
                    self.gpu_nodes.remove(&gone.meta.name);
                }
            }
            Kind::MachineDeployment => drop(self.deployments.sync()),
            Kind::MachineSet => drop(self.sets.sync()),
            Kind::Machine => drop(self.machines.sync()),
            Kind::PriorityClass => drop(self.classes.sync()),
            Kind::GpuPool => drop(self.pools.sync()),
            Kind::ResourceSlice => drop(self.slices.sync()),
            Kind::Autoscaler => {
                if !self.is_autoscaler_listed {
                    self.autoscaler = Autoscaler::Absent;
                }
                self.is_autoscaler_synced = true;
            }
            Kind::Namespace => {}
        }
        self.survey();
    }

    /// Once everything but the pods is there, it is known on which nodes pods without devices matter: those
    /// on others need not be kept until the first look.
    fn survey(&mut self) {
        let mut others = Kind::ALL.into_iter().filter(|kind| *kind != Kind::Pod);
        if self.before.is_none() && others.all(|kind| self.is_kind_synced(kind)) {
            let members = Members::new(&self.machines, &self.nodes, &self.settings.keys);
            let plans = plans(&self.pools, &self.deployments, &members, &self.settings);
            self.strangers = strangers(&plans, &self.nodes, &self.gpu_nodes);
        }
    }

    /// The picture at `now`. What came and went is told once.
    pub fn look(&mut self, now: Timestamp, sight: Sight) -> Look {
        let mut findings = Findings::default();
        let usage = usage(&self.pods, &self.nodes, self.settings.expendable_below);
        let slices = slices(self.slices.values());
        let members = Members::new(&self.machines, &self.nodes, &self.settings.keys);
        let mut plans = plans(&self.pools, &self.deployments, &members, &self.settings);
        learn(&mut self.shown, &mut plans, &slices, &usage);
        let by_priority =
            tuning::by_priority(self.classes.values(), |note| findings.add(None, note));
        let (mut targets, mut pools) = (Vec::new(), Vec::new());
        for plan in &mut plans {
            let (target, limits) = plan.target(&self.sets, &self.settings);
            targets.push(target);
            pools.push(tuning::pool_settings(plan, limits, &by_priority));
        }
        let held: Vec<_> =
            plans.iter().map(|plan| (plan.key.clone(), plan.hardware.clone())).collect();
        if held != self.hardware {
            (self.hardware, self.generation) = (held, self.generation + 1);
        }
        let mut told = vec![PoolSnapshot::default(); plans.len()];
        let around =
            Around { now, is_first: self.before.is_none(), usage: &usage, slices: &slices };
        let mut nodes = Vec::with_capacity(plans.len());
        for (plan, told) in plans.iter_mut().zip(&mut told) {
            nodes.push(self.fleet.look(plan, &around, told));
            told.running_milli = running_milli(plan, &usage);
            told.scheduled = schedule::occurrences(&plan.spec.schedules, now, &mut plan.notes);
        }
        let desk = Desk {
            now,
            before: self.before,
            plans: &plans,
            pools: &pools,
            generation: self.generation,
            expendable_below: self.settings.expendable_below,
            nodes: &self.nodes,
            places: Places::new(&plans, &self.nodes, &self.gpu_nodes),
        };
        desk.place(&mut self.pods, &mut self.numbers);
        desk.log(&mut self.pods, &mut self.numbers, &mut told);
        let demand = desk.demand(&self.pods, &mut told, &mut findings);
        odd::nodes(&plans, self.gpu_nodes.iter().map(String::as_str), &mut findings);
        for (pool, plan) in plans.iter_mut().enumerate() {
            plan.notes.drain(..).for_each(|note| findings.add(Some(pool), note));
        }
        let uids: BTreeSet<&str> =
            self.machines.values().map(|one| one.meta.uid.as_str()).collect();
        let keys: BTreeSet<&str> = plans.iter().map(|plan| plan.key.as_str()).collect();
        self.fleet.forget(&uids, &keys);
        self.shown.retain(|key, _| keys.contains(key.as_str()));
        let pooled = plans.iter().flat_map(|plan| plan.members);
        let pooled = pooled.map(|member| member.machine.meta.uid.as_str()).collect();
        let stray_nodes = strays::nodes(&pooled, &members, &self.nodes);
        let targeted = plans.iter().filter_map(|plan| Some(plan.deployment?.meta.key())).collect();
        let stray_deployments = strays::deployments(&targeted, &self.deployments);
        let delayed_pods = strays::delayed(&self.pods);
        let strangers = strangers(&plans, &self.nodes, &self.gpu_nodes);
        self.pods.prune(
            |node| !strangers.contains(node),
            |name| is_gpu_resource(name) || plans.iter().any(|plan| plan.hardware.resource == name),
        );
        let beside = plans.iter().zip(targets).zip(nodes).zip(&demand.pending_gpus);
        let beside = beside
            .map(|(((plan, target), nodes), &pending)| pool_look(plan, target, nodes, pending));
        let look = Look {
            snapshot: Snapshot {
                pools: told,
                waiting: demand.waiting,
                shapes: self.numbers.shapes.shared(),
                sight,
                replays: Vec::new(),
            },
            pools: beside.collect(),
            settings: Settings {
                pools,
                placement: Placement::default(),
                max_nodes: self.settings.max_nodes,
            },
            waiting: demand.pods,
            delayed_pods,
            stray_nodes,
            stray_deployments,
            autoscaler: self.autoscaler.clone(),
            findings: findings.into_lines(),
        };
        (self.strangers, self.before) = (strangers, Some(now));
        look
    }
}
