//! A management and a workload cluster in memory: objects with versions that merge patches are applied to,
//! Cluster API that makes and deletes Machines, nodes that boot, a scheduler, and cluster-autoscaler as 1.36 is.

use super::super::{
    execute::Versions,
    marks,
    wire::{Wire, wire},
    write::Write,
};
use crate::{
    engine::Settings,
    live::{
        client::ClusterApi,
        gpu_pool::{Actuation, Backend, GpuPoolSpec, Mode, ScaleDownBy},
        look::{Autoscaler, Look, PoolLook, PoolNode, Target, WaitingPod},
    },
    model::{
        NodeId, Pool, Snapshot,
        object::{Machine, MachineDeployment, Meta, Strings},
    },
    readiness::Readiness,
    time::{Millis, Timestamp},
};
use kube::core::ApiResource;
use serde_json::{Value, json};
use std::{collections::BTreeMap, sync::Arc};

pub(super) const GROUP: &str = "cluster.x-k8s.io";
const DEPLOYMENTS: &str = "/apis/cluster.x-k8s.io/v1beta2/namespaces/demo/machinedeployments";
const MACHINES: &str = "/apis/cluster.x-k8s.io/v1beta2/namespaces/demo/machines";
const NODES: &str = "/api/v1/nodes";
const PODS: &str = "/api/v1/namespaces/gpu/pods";
/// A Machine registers so long after it was made.
pub(super) const BOOT: i64 = 300;
/// Its GPUs are there so much later.
pub(super) const WARM_UP: i64 = 240;

pub(in crate::live::actuate) fn api() -> ClusterApi {
    let resource = |kind: &str, plural: &str| ApiResource {
        group: GROUP.to_owned(),
        version: "v1beta2".to_owned(),
        api_version: format!("{GROUP}/v1beta2"),
        kind: kind.to_owned(),
        plural: plural.to_owned(),
    };
    ClusterApi {
        group: GROUP.to_owned(),
        version: "v1beta2".to_owned(),
        scalable: resource("MachineDeployment", "machinedeployments"),
        machine_sets: resource("MachineSet", "machinesets"),
        machines: resource("Machine", "machines"),
    }
}

/// RFC 7386.
fn merge(target: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = json!({});
    }
    for (key, value) in patch {
        if value.is_null() {
            target.as_object_mut().unwrap().remove(key);
        } else {
            merge(&mut target[key], value);
        }
    }
}

pub(super) struct World {
    /// By path: spec, metadata.annotations, metadata.resourceVersion and facts of ours under `x`.
    objects: BTreeMap<String, Value>,
    version: u64,
    /// Seconds.
    pub(super) now: i64,
    pub(super) spec: GpuPoolSpec,
    pub(super) has_autoscaler: bool,
    pub(super) made: u32,
    asked_by_autoscaler: bool,
    unneeded_since: BTreeMap<String, i64>,
}

impl World {
    pub(super) fn new(backend: Backend, scale_down: ScaleDownBy, has_autoscaler: bool) -> Self {
        let mut spec = GpuPoolSpec::defaults();
        spec.mode = Mode::Active;
        spec.actuation = Actuation { backend, scale_down };
        let mut world = Self {
            objects: BTreeMap::new(),
            version: 100,
            now: 1_795_000_000,
            spec,
            has_autoscaler,
            made: 0,
            asked_by_autoscaler: false,
            unneeded_since: BTreeMap::new(),
        };
        let sizes = json!({marks::min_size(GROUP): "0", marks::max_size(GROUP): "10"});
        world.put(DEPLOYMENTS, "a100", &json!({"replicas": 0}), &sizes, &json!({}));
        world
    }

    fn put(&mut self, path: &str, name: &str, spec: &Value, annotations: &Value, x: &Value) {
        self.version += 1;
        let metadata = json!({
            "name": name, "annotations": annotations, "resourceVersion": self.version.to_string(),
        });
        let object = json!({"metadata": metadata, "spec": spec, "x": x});
        self.objects.insert(format!("{path}/{name}"), object);
    }

    fn edit(&mut self, key: &str, patch: &Value) {
        self.version += 1;
        let object = self.objects.get_mut(key).unwrap();
        merge(object, patch);
        object["metadata"]["resourceVersion"] = json!(self.version.to_string());
    }

    fn all(&self, path: &str) -> Vec<(String, Value)> {
        let prefix = format!("{path}/");
        let inside = self.objects.iter().filter(|(key, _)| key.starts_with(&prefix));
        inside.map(|(key, value)| (key.clone(), value.clone())).collect()
    }

    pub(super) fn add_pod(&mut self, name: &str, ends: i64) {
        let x = json!({"created": self.now, "node": "", "ends": self.now + ends});
        self.put(PODS, name, &json!({}), &json!({}), &x);
    }

    /// What the API server does with a write of ours.
    pub(super) fn write(&mut self, write: &Write, versions: &mut Versions) -> Result<(), u16> {
        let Wire { path, body, .. } = wire(write, versions.of(write), &api());
        let key = format!("{path}/{}", write.object().name);
        let object = self.objects.get(&key).ok_or(404_u16)?;
        if object["metadata"]["resourceVersion"] != body["metadata"]["resourceVersion"] {
            return Err(409);
        }
        self.edit(&key, &body);
        versions.wrote(write, self.version.to_string());
        self.check_sizes();
        Ok(())
    }

    /// cluster-autoscaler stops for all groups at a minimum above the maximum.
    fn check_sizes(&self) {
        let deployment = &self.objects[&format!("{DEPLOYMENTS}/a100")];
        let size = |key: String| {
            deployment["metadata"]["annotations"][key].as_str().unwrap().parse::<u32>()
        };
        let (min, max) = (size(marks::min_size(GROUP)), size(marks::max_size(GROUP)));
        assert!(min.unwrap() <= max.unwrap(), "cluster-autoscaler would stop for all groups");
    }

    pub(super) fn replicas(&self) -> u32 {
        self.objects[&format!("{DEPLOYMENTS}/a100")]["spec"]["replicas"].as_u64().unwrap() as u32
    }

    fn scale(&mut self, replicas: u32) {
        self.edit(&format!("{DEPLOYMENTS}/a100"), &json!({"spec": {"replicas": replicas}}));
    }

    /// Ten seconds pass.
    pub(super) fn tick(&mut self) {
        self.now += 10;
        self.end_pods();
        self.delete_machines();
        self.make_machines();
        self.boot();
        self.schedule();
        if self.has_autoscaler {
            self.autoscale();
        }
    }

    fn end_pods(&mut self) {
        for (key, pod) in self.all(PODS) {
            if pod["x"]["ends"].as_i64().unwrap() <= self.now {
                self.objects.remove(&key);
            }
        }
    }

    fn make_machines(&mut self) {
        for _ in self.all(MACHINES).len()..self.replicas() as usize {
            self.made += 1;
            let name = format!("a100-{:03}", self.made);
            self.put(MACHINES, &name, &json!({}), &json!({}), &json!({"created": self.now}));
        }
    }

    /// Marked ones first, then those without a node, then by name.
    fn delete_machines(&mut self) {
        let mut machines = self.all(MACHINES);
        let surplus = machines.len().saturating_sub(self.replicas() as usize);
        let has_node = |key: &str| self.objects.contains_key(&key.replace(MACHINES, NODES));
        machines.sort_by_key(|(key, machine)| {
            let mark = &machine["metadata"]["annotations"][marks::delete_machine(GROUP)];
            (mark.is_null(), has_node(key))
        });
        for (key, _) in machines.into_iter().take(surplus) {
            self.objects.remove(&key);
            let node = key.replace(MACHINES, NODES);
            let name = node.rsplit('/').next().unwrap().to_owned();
            assert_eq!(self.pods_on(&name), 0, "a node with work was deleted");
            self.objects.remove(&node);
            self.unneeded_since.remove(&name);
        }
    }

    fn boot(&mut self) {
        for (key, machine) in self.all(MACHINES) {
            let name = key.rsplit('/').next().unwrap();
            let is_there = self.objects.contains_key(&key.replace(MACHINES, NODES));
            if !is_there && machine["x"]["created"].as_i64().unwrap() + BOOT <= self.now {
                self.put(NODES, name, &json!({}), &json!({}), &json!({"created": self.now}));
            }
        }
    }

    fn is_warm(&self, node: &Value) -> bool {
        node["x"]["created"].as_i64().unwrap() + WARM_UP <= self.now
    }

    fn pods_on(&self, node: &str) -> u32 {
        self.all(PODS).iter().filter(|(_, pod)| pod["x"]["node"] == node).count() as u32
    }

    /// A pod takes a whole node.
    fn schedule(&mut self) {
        for (key, pod) in self.all(PODS) {
            if pod["x"]["node"] != "" {
                continue;
            }
            let free = self.all(NODES).into_iter().find(|(_, node)| {
                let name = node["metadata"]["name"].as_str().unwrap();
                let is_open = node["spec"]["unschedulable"] != json!(true);
                is_open && self.is_warm(node) && self.pods_on(name) == 0
            });
            if let Some((_, node)) = free {
                self.edit(&key, &json!({"x": {"node": node["metadata"]["name"]}}));
            }
        }
    }

    /// Enforces minimums, buys for old pods unless the coming nodes are its own, removes idle nodes.
    fn autoscale(&mut self) {
        let deployment = self.objects[&format!("{DEPLOYMENTS}/a100")].clone();
        let min = deployment["metadata"]["annotations"][marks::min_size(GROUP)].as_str().unwrap();
        let min = min.parse::<u32>().unwrap();
        let coming = self.replicas() as usize
            - self.all(NODES).iter().filter(|(_, node)| self.is_warm(node)).count();
        self.asked_by_autoscaler &= coming > 0;
        if self.replicas() < min {
            self.asked_by_autoscaler = true;
            self.scale(min);
        }
        let hungry = self.all(PODS).iter().filter(|(_, pod)| self.is_seen(pod)).count();
        let counted = if self.asked_by_autoscaler { coming } else { 0 };
        if hungry > counted {
            self.asked_by_autoscaler = true;
            self.scale(self.replicas() + (hungry - counted) as u32);
        }
        self.remove_idle(min);
    }

    /// A GPU pod without a node, older than 30 s and than its delay.
    fn is_seen(&self, pod: &Value) -> bool {
        let age = self.now - pod["x"]["created"].as_i64().unwrap();
        let delay = pod["metadata"]["annotations"][marks::POD_DELAY].as_str();
        let delay = delay.and_then(marks::parse_go_duration).map_or(0, |delay| delay.0 / 1000);
        pod["x"]["node"] == "" && age > 30 && age > delay
    }

    fn remove_idle(&mut self, min: u32) {
        for (key, node) in self.all(NODES) {
            let name = node["metadata"]["name"].as_str().unwrap().to_owned();
            let is_held = node["metadata"]["annotations"][marks::SCALE_DOWN_DISABLED] == "true";
            if is_held || self.pods_on(&name) > 0 {
                self.unneeded_since.remove(&name);
                continue;
            }
            let since = *self.unneeded_since.entry(name).or_insert(self.now);
            if self.now - since >= 600 && self.replicas() > min {
                let machine = key.replace(NODES, MACHINES);
                let mark = json!({marks::delete_machine(GROUP): "now"});
                self.edit(&machine, &json!({"metadata": {"annotations": mark}}));
                self.scale(self.replicas() - 1);
                self.delete_machines();
            }
        }
    }

    /// What the index would hand over.
    pub(super) fn look(&self) -> Look {
        let deployment = &self.objects[&format!("{DEPLOYMENTS}/a100")];
        let mut meta = meta("demo", deployment);
        meta.created = Timestamp::ZERO;
        let min = meta.annotations[&marks::min_size(GROUP)].parse().unwrap();
        let max = meta.annotations[&marks::max_size(GROUP)].parse().unwrap();
        let target = Target {
            deployment: MachineDeployment {
                meta,
                replicas: Some(i64::from(self.replicas())),
                is_observed: true,
                ..MachineDeployment::default()
            },
            autoscaler_limits: Some((min, max)),
            annotation_fault: None,
            is_rolling_out: false,
            is_topology_owned: false,
        };
        let mut waiting: Vec<WaitingPod> =
            self.all(PODS).iter().map(|(_, pod)| waiting_pod(pod)).collect();
        let placed =
            |pod: &WaitingPod| self.objects[&format!("{PODS}/{}", pod.name)]["x"]["node"] != "";
        let delayed_pods =
            waiting.extract_if(.., |pod| placed(pod)).filter(|pod| pod.is_delay_ours).collect();
        let requests = if self.asked_by_autoscaler {
            vec!["MachineDeployment/demo/a100".to_owned()]
        } else {
            vec![]
        };
        let at = Timestamp::from_secs(self.now);
        let autoscaler = if self.has_autoscaler {
            Autoscaler::Running { at, requests, backed_off: Vec::new() }
        } else {
            Autoscaler::Absent
        };
        Look {
            snapshot: Snapshot::default(),
            settings: Settings::new([Pool::new("a100", 8)], 20.0),
            pools: vec![PoolLook {
                namespace: "demo".to_owned(),
                name: "a100".to_owned(),
                exists: true,
                uid: "u".to_owned(),
                generation: 1,
                spec: self.spec.clone(),
                target: Some(target),
                nodes: self.nodes(),
                pending_gpus: 0,
            }],
            waiting,
            delayed_pods,
            stray_nodes: Vec::new(),
            stray_deployments: Vec::new(),
            autoscaler,
            findings: Vec::new(),
        }
    }

    fn nodes(&self) -> Vec<PoolNode> {
        let machines = self.all(MACHINES);
        let mut nodes: Vec<PoolNode> =
            machines.iter().map(|(key, machine)| self.node(key, machine)).collect();
        for missing in machines.len()..self.replicas() as usize {
            nodes.push(blank(NodeId(100_000 + missing as u32)));
        }
        nodes
    }

    fn node(&self, key: &str, machine: &Value) -> PoolNode {
        let mut machine_meta = meta("demo", machine);
        machine_meta.created = Timestamp::from_secs(machine["x"]["created"].as_i64().unwrap());
        let id = NodeId(machine_meta.name.rsplit('-').next().unwrap().parse().unwrap());
        let mut node = blank(id);
        node.readiness = Readiness::Provisioning;
        node.machine = Some(Arc::new(Machine { meta: machine_meta, ..Machine::default() }));
        let Some(object) = self.objects.get(&key.replace(MACHINES, NODES)) else { return node };
        let Meta { name, resource_version, annotations, .. } = meta("", object);
        node.readiness =
            if self.is_warm(object) { Readiness::Allocatable } else { Readiness::DriverInstalling };
        node.pods = self.pods_on(&name);
        node.node = Some(name);
        node.node_version = resource_version;
        node.hold_until =
            annotations.get(marks::HOLD_UNTIL).and_then(|text| marks::parse_rfc3339(text));
        node.hold_decision = annotations.get(marks::HOLD_DECISION).cloned();
        node.is_touched = annotations.contains_key(marks::NUDGED_AT);
        node.is_scale_down_disabled = annotations.contains_key(marks::SCALE_DOWN_DISABLED);
        node.is_unschedulable = object["spec"]["unschedulable"] == json!(true);
        node.is_cordoned_by_us = annotations.contains_key(marks::CORDONED);
        node
    }

    /// Annotations of ours that are in force anywhere.
    pub(super) fn marks_left(&self) -> Vec<String> {
        let mut left = Vec::new();
        for (key, object) in &self.objects {
            let Some(annotations) = object["metadata"]["annotations"].as_object() else { continue };
            let is_ours = |name: &&String| {
                name.starts_with("prewarm.dev/") && *name != marks::HOLD_DECISION
                    || *name == marks::SCALE_DOWN_DISABLED
                    || *name == marks::POD_DELAY
            };
            left.extend(annotations.keys().filter(is_ours).map(|name| format!("{key}: {name}")));
            if object["spec"]["unschedulable"] == json!(true) {
                left.push(format!("{key}: cordoned"));
            }
        }
        left
    }

    pub(super) fn min_size(&self) -> Value {
        let deployment = &self.objects[&format!("{DEPLOYMENTS}/a100")];
        deployment["metadata"]["annotations"][marks::min_size(GROUP)].clone()
    }

    pub(super) fn held(&self) -> usize {
        let nodes = self.all(NODES);
        let key = marks::SCALE_DOWN_DISABLED;
        nodes.iter().filter(|(_, node)| node["metadata"]["annotations"][key] == "true").count()
    }
}

fn waiting_pod(pod: &Value) -> WaitingPod {
    let meta = meta("gpu", pod);
    WaitingPod {
        created: Timestamp::from_secs(pod["x"]["created"].as_i64().unwrap()),
        scale_up_delay: meta.annotations.get(marks::POD_DELAY).cloned(),
        is_delay_ours: meta.annotations.contains_key(marks::OUR_DELAY),
        namespace: meta.namespace,
        uid: meta.name.clone(),
        name: meta.name,
        resource_version: meta.resource_version,
        pool: Some(0),
        gpu_milli: 8000,
    }
}

fn meta(namespace: &str, object: &Value) -> Meta {
    let annotations: Strings =
        serde_json::from_value(object["metadata"]["annotations"].clone()).unwrap_or_default();
    Meta {
        namespace: namespace.to_owned(),
        name: object["metadata"]["name"].as_str().unwrap().to_owned(),
        resource_version: object["metadata"]["resourceVersion"].as_str().unwrap().to_owned(),
        annotations,
        ..Meta::default()
    }
}

pub(super) fn blank(id: NodeId) -> PoolNode {
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

pub(super) const LEAD: Millis = Millis::from_secs(BOOT + WARM_UP + 20);
