//! Answers put together: for each pod and node what is known of it. Earliest and latest values are kept, so the
//! order of the answers does not matter.

use super::{plan::Question, query::Part, source::Names};
use crate::{
    promql::{Point, Series},
    time::Timestamp,
};
use std::collections::BTreeMap;

/// What is known of a pod. Instants are of the Unix epoch.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct PodFacts {
    /// What its containers ask for.
    pub(super) requests: Vec<Request>,
    /// GPUs of its largest init container.
    pub(super) init_gpus: BTreeMap<String, u32>,
    pub(super) created: Option<Timestamp>,
    pub(super) scheduled: Option<Timestamp>,
    pub(super) started: Option<Timestamp>,
    pub(super) completed: Option<Timestamp>,
    pub(super) deleted: Option<Timestamp>,
    pub(super) first_seen: Option<Timestamp>,
    pub(super) last_seen: Option<Timestamp>,
    pub(super) first_placed: Option<Timestamp>,
    pub(super) has_ended: bool,
    pub(super) has_failed: bool,
    /// Kind and name.
    pub(super) owner: Option<(String, String)>,
    pub(super) node: Option<String>,
}

/// What a container asks for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Request {
    /// As the metric writes it.
    pub(super) resource: String,
    /// Its name; empty where the source knows only pods.
    container: String,
    pub(super) gpus: u32,
}

/// What is known of a node.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct NodeFacts {
    pub(super) gpus: BTreeMap<String, u32>,
    pub(super) created: Option<Timestamp>,
    pub(super) last_seen: Option<Timestamp>,
    pub(super) ready: Option<Timestamp>,
    pub(super) gpu_ready: Option<Timestamp>,
    /// Labels as the metric writes them, without `label_`.
    pub(super) labels: BTreeMap<String, String>,
}

/// What is known of a Machine.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct MachineFacts {
    pub(super) created: Option<Timestamp>,
    pub(super) node: Option<String>,
}

/// Namespace, name, uid (empty where the source has none).
pub(super) type PodKey = (String, String, String);

/// All that was read.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Facts {
    pub(super) pods: BTreeMap<PodKey, PodFacts>,
    pub(super) nodes: BTreeMap<String, NodeFacts>,
    /// Kind and name of the controller of a ReplicaSet or Job, by kind, namespace and name.
    pub(super) owners: BTreeMap<(&'static str, String, String), (String, String)>,
    /// Machines of Cluster API, by name.
    pub(super) machines: BTreeMap<String, MachineFacts>,
    /// Values that cannot be (negative, not a number, no label): left out.
    pub(super) strange: u64,
}

impl Facts {
    /// Pods known so far.
    pub fn pods(&self) -> usize {
        self.pods.len()
    }

    /// Values that cannot be and were left out.
    pub const fn strange(&self) -> u64 {
        self.strange
    }

    /// Takes an answer.
    pub fn take(&mut self, names: &Names, question: &Question, series: &[Series]) {
        for series in series {
            let Some(value) = series.last().filter(|value| *value >= 0.0) else {
                self.strange += 1;
                continue;
            };
            match question.part {
                Part::Requests => self.take_requests(names, series),
                Part::InitGpus => {
                    if let Some(pod) = self.pod(names, series) {
                        most(&mut pod.init_gpus, series.label("resource"), value);
                    }
                }
                Part::Said => self.take_said(names, series, value),
                Part::ReplicaSetOwner => self.take_owner("ReplicaSet", "replicaset", names, series),
                Part::JobOwner => self.take_owner("Job", "job_name", names, series),
                Part::Machines => self.take_machine(series, value),
                part => self.take_node(part, names, series, value),
            }
        }
    }

    fn pod(&mut self, names: &Names, series: &Series) -> Option<&mut PodFacts> {
        let label = |name: &str| series.label(name).to_owned();
        let key = (label(&names.namespace), label(&names.pod), label(&names.uid));
        if key.1.is_empty() {
            self.strange += 1;
            return None;
        }
        Some(self.pods.entry(key).or_default())
    }

    fn take_requests(&mut self, names: &Names, series: &Series) {
        let Some(pod) = self.pod(names, series) else { return };
        let node = series.label(&names.node);
        for point in series.finite() {
            earliest(&mut pod.first_seen, point.at);
            latest(&mut pod.last_seen, point.at);
            if !node.is_empty() {
                earliest(&mut pod.first_placed, point.at);
            }
        }
        if !node.is_empty() {
            pod.node = Some(node.to_owned());
        }
        let (resource, container) = (series.label("resource"), series.label(&names.container));
        let gpus = series.finite().map(|point| count(point.value)).max().unwrap_or(0);
        let known = pod
            .requests
            .iter_mut()
            .find(|known| known.resource == resource && known.container == container);
        if let Some(known) = known {
            known.gpus = known.gpus.max(gpus);
            return;
        }
        let (resource, container) = (resource.to_owned(), container.to_owned());
        let at = pod
            .requests
            .partition_point(|known| (&known.resource, &known.container) < (&resource, &container));
        pod.requests.insert(at, Request { resource, container, gpus });
    }

    fn take_said(&mut self, names: &Names, series: &Series, value: f64) {
        let Some(pod) = self.pod(names, series) else { return };
        let at = instant(value);
        match series.label("__name__") {
            "kube_pod_created" => latest(&mut pod.created, at),
            "kube_pod_status_scheduled_time" => latest(&mut pod.scheduled, at),
            "kube_pod_container_state_started" => earliest(&mut pod.started, at),
            "kube_pod_completion_time" => latest(&mut pod.completed, at),
            "kube_pod_deletion_timestamp" => latest(&mut pod.deleted, at),
            "kube_pod_status_phase" => {
                let phase = series.label("phase");
                pod.has_ended |= value > 0.0 && matches!(phase, "Succeeded" | "Failed");
                pod.has_failed |= value > 0.0 && phase == "Failed";
            }
            "kube_pod_owner" => {
                let owner = (series.label("owner_kind"), series.label("owner_name"));
                pod.owner = Some((owner.0.to_owned(), owner.1.to_owned()));
            }
            _ => self.strange += 1,
        }
    }

    fn take_owner(&mut self, kind: &'static str, label: &str, names: &Names, series: &Series) {
        let key = (kind, series.label(&names.namespace).to_owned(), series.label(label).to_owned());
        let owner = (series.label("owner_kind"), series.label("owner_name"));
        // kube-state-metrics says `<none>` where there is none.
        if owner.0.is_empty() || owner.0 == "<none>" {
            return;
        }
        self.owners.insert(key, (owner.0.to_owned(), owner.1.to_owned()));
    }

    fn take_machine(&mut self, series: &Series, value: f64) {
        let (name, node) = (series.label("name"), series.label("node_name"));
        if name.is_empty() {
            self.strange += 1;
            return;
        }
        let machine = self.machines.entry(name.to_owned()).or_default();
        if series.label("__name__") == "capi_machine_created" {
            latest(&mut machine.created, instant(value));
        } else if !node.is_empty() {
            machine.node = Some(node.to_owned());
        }
    }

    fn take_node(&mut self, part: Part, names: &Names, series: &Series, value: f64) {
        let name = series.label(&names.node);
        if name.is_empty() {
            self.strange += 1;
            return;
        }
        let node = self.nodes.entry(name.to_owned()).or_default();
        let first = |is_so: &dyn Fn(f64) -> bool| -> Option<Point> {
            series.finite().find(|point| is_so(point.value))
        };
        match part {
            Part::NodeCreated => latest(&mut node.created, instant(value)),
            Part::NodeReady => {
                if let Some(point) = first(&|value| value > 0.0) {
                    earliest(&mut node.ready, point.at);
                }
            }
            Part::NodeGpus => {
                let resource = series.label("resource");
                for point in series.finite() {
                    most(&mut node.gpus, resource, point.value);
                    latest(&mut node.last_seen, point.at);
                }
                if let Some(point) = first(&|value| value > 0.0) {
                    earliest(&mut node.gpu_ready, point.at);
                }
            }
            _ => {
                let labels = series.labels.iter();
                let labels = labels.filter_map(|(name, value)| {
                    Some((name.strip_prefix("label_")?.to_owned(), value.clone()))
                });
                node.labels.extend(labels);
            }
        }
    }
}

fn instant(seconds: f64) -> Timestamp {
    Timestamp((seconds.min(8.6e9) * 1000.0).round() as i64)
}

fn count(value: f64) -> u32 {
    value.round().clamp(0.0, f64::from(u32::MAX)) as u32
}

fn latest(kept: &mut Option<Timestamp>, at: Timestamp) {
    *kept = Some(kept.map_or(at, |kept| kept.max(at)));
}

fn earliest(kept: &mut Option<Timestamp>, at: Timestamp) {
    *kept = Some(kept.map_or(at, |kept| kept.min(at)));
}

fn most(kept: &mut BTreeMap<String, u32>, resource: &str, value: f64) {
    let value = count(value);
    match kept.get_mut(resource) {
        Some(known) => *known = value.max(*known),
        None => {
            kept.insert(resource.to_owned(), value);
        }
    }
}
