//! The index on hand-made and recorded objects: what one event after the other makes of the picture.

mod changes;
mod demand;
mod nodes;
mod pools;
mod scale_up;
mod size;

use super::*;
use crate::{
    live::objects::{CapiKeys, Facts, pool},
    model::{
        NodeSnapshot,
        object::{Condition, Gang, Meta, Owner, Pod, PodPhase, Resources, Strings, Unscheduled},
    },
    readiness::Readiness,
    time::Millis,
};
use serde_json::{Value, json};

const GPU: &str = "nvidia.com/gpu";

fn secs(secs: i64) -> Timestamp {
    // 2026-11-21, so that nothing relies on a zero near the events.
    Timestamp::from_secs(1_795_245_213 + secs)
}

fn meta(namespace: &str, name: &str, created: i64) -> Meta {
    Meta {
        namespace: namespace.into(),
        name: name.into(),
        uid: format!("uid-of-{name}"),
        created: secs(created),
        ..Meta::default()
    }
}

fn strings(pairs: &[(&str, &str)]) -> Strings {
    pairs.iter().map(|&(key, value)| (key.to_owned(), value.to_owned())).collect()
}

fn amounts(gpus: u64) -> Resources {
    let extended = if gpus > 0 { [(GPU.to_owned(), gpus)].into() } else { BTreeMap::new() };
    Resources { cpu_milli: 96_000, memory_bytes: 1 << 40, extended }
}

/// A node group of up to 10 nodes with 8 GPUs, and so many replicas.
fn deployment(name: &str, replicas: i64) -> MachineDeployment {
    let mut meta = meta("demo", name, 0);
    meta.annotations = strings(&[
        ("cluster.x-k8s.io/cluster-api-autoscaler-node-group-min-size", "0"),
        ("cluster.x-k8s.io/cluster-api-autoscaler-node-group-max-size", "10"),
        ("capacity.cluster-autoscaler.kubernetes.io/gpu-type", GPU),
        ("capacity.cluster-autoscaler.kubernetes.io/gpu-count", "8"),
    ]);
    MachineDeployment { meta, replicas: Some(replicas), ..MachineDeployment::default() }
}

fn machine(name: &str, deployment: &str, created: i64) -> Machine {
    Machine {
        meta: meta("demo", name, created),
        deployment: Some(deployment.into()),
        provider_id: format!("aws:///zone/{name}"),
        ..Machine::default()
    }
}

/// A node of the machine of the same name, Ready since `ready`, with its GPUs registered.
fn node(name: &str, ready: i64, allocatable: u64) -> Node {
    let mut meta = meta("", name, ready);
    meta.labels = strings(&[("cluster-api/accelerator", "a100")]);
    let status = Some(true);
    let ready = Condition {
        kind: "Ready".into(),
        status,
        since: Some(secs(ready)),
        ..Condition::default()
    };
    Node {
        meta,
        provider_id: format!("aws:///zone/{name}"),
        conditions: vec![ready],
        capacity: amounts(8),
        allocatable: amounts(allocatable),
        ..Node::default()
    }
}

/// A pod that waits for so many GPUs.
fn pod(name: &str, created: i64, gpus: u64) -> Pod {
    Pod {
        meta: meta("ml", name, created),
        unscheduled: Some(Unscheduled::Unschedulable("no".into())),
        requests: Resources { cpu_milli: 4000, memory_bytes: 1 << 30, ..amounts(gpus) },
        ..Pod::default()
    }
}

fn bound(pod: Pod, node: &str, at: i64) -> Pod {
    Pod {
        node: Some(node.into()),
        unscheduled: None,
        phase: PodPhase::Running,
        scheduled_at: Some(secs(at)),
        ..pod
    }
}

/// An index to which everything listed was told.
fn index(events: impl IntoIterator<Item = Event>) -> Index {
    let mut index = Index::new(IndexSettings::default());
    tell(&mut index, Kind::ALL.map(Event::Restarted));
    tell(&mut index, events);
    tell(&mut index, Kind::ALL.map(Event::Synced));
    assert!(index.is_synced());
    index
}

fn tell(index: &mut Index, events: impl IntoIterator<Item = Event>) {
    for event in events {
        index.apply(event);
    }
}

fn look(index: &mut Index, at: i64) -> Look {
    index.look(secs(at), Sight::default())
}

impl From<Pod> for Event {
    fn from(pod: Pod) -> Self {
        Self::Pod(Box::new(pod))
    }
}

impl From<Node> for Event {
    fn from(node: Node) -> Self {
        Self::Node(Box::new(node))
    }
}

impl From<Machine> for Event {
    fn from(machine: Machine) -> Self {
        Self::Machine(Box::new(machine))
    }
}

impl From<MachineDeployment> for Event {
    fn from(deployment: MachineDeployment) -> Self {
        Self::MachineDeployment(Box::new(deployment))
    }
}

/// A `GpuPool` with this `spec`.
#[allow(clippy::needless_pass_by_value, reason = "reads better where it is called")]
fn gpu_pool(name: &str, spec: Value) -> Event {
    let meta = json!({"name": name, "namespace": "demo", "uid": format!("uid-of-{name}"), "generation": 3});
    let object = json!({"apiVersion": "prewarm.dev/v1alpha1", "kind": "GpuPool", "metadata": meta, "spec": spec});
    Event::Pool(Box::new(pool(serde_json::from_value(object).unwrap())))
}

fn recorded<T: Facts>(name: &str) -> Option<T> {
    let value = crate::live::testing::fixture(&format!("objects/{name}.json"))?;
    let object: kube::core::Object<T::Spec, T::Status> = serde_json::from_value(value).unwrap();
    Some(T::facts(object, &CapiKeys::default()))
}

/// One node of one pool, complete, with its machine.
fn one_node() -> Vec<Event> {
    vec![deployment("a", 1).into(), machine("n1", "a", 0).into(), node("n1", 300, 8).into()]
}

fn ids(nodes: &[NodeSnapshot]) -> Vec<u32> {
    nodes.iter().map(|node| node.id.0).collect()
}

fn reasons(look: &Look) -> Vec<&'static str> {
    look.findings.iter().map(|finding| finding.reason).collect()
}
