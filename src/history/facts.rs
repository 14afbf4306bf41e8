//! Answers put together: for each pod and node what is known of it. Earliest and latest values are kept, so the
//! order of the answers does not matter.

use super::{plan::Question, query::Part, source::Names};
use crate::{promql::Series, time::Timestamp};
use std::collections::BTreeMap;

/// What is known of a pod. Instants are of the Unix epoch.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct PodFacts {
    /// GPUs of its containers together, by resource as the metric writes it.
    pub(super) gpus: BTreeMap<String, u32>,
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

/// Namespace, name, uid (empty where the source has none).
pub(super) type PodKey = (String, String, String);

/// All that was read.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Facts {
    pub(super) pods: BTreeMap<PodKey, PodFacts>,
    pub(super) nodes: BTreeMap<String, NodeFacts>,
    /// Kind and name of the controller of a ReplicaSet or Job, by kind, namespace and name.
    pub(super) owners: BTreeMap<(&'static str, String, String), (String, String)>,
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
                Part::ReplicaSetOwner => self.take_owner("ReplicaSet", "replicaset", names, series),
                Part::JobOwner => self.take_owner("Job", "job_name", names, series),
                Part::NodeCreated
                | Part::NodeLastSeen
                | Part::NodeReady
                | Part::NodeGpuReady
                | Part::NodeGpus
                | Part::NodeLabels => self.take_node(question.part, names, series, value),
                part => self.take_pod(part, names, series, value),
            }
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

    fn take_node(&mut self, part: Part, names: &Names, series: &Series, value: f64) {
        let name = series.label(&names.node);
        if name.is_empty() {
            self.strange += 1;
            return;
        }
        let node = self.nodes.entry(name.to_owned()).or_default();
        match part {
            Part::NodeCreated => latest(&mut node.created, value),
            Part::NodeLastSeen => latest(&mut node.last_seen, value),
            Part::NodeReady => earliest(&mut node.ready, value),
            Part::NodeGpuReady => earliest(&mut node.gpu_ready, value),
            Part::NodeGpus => most(&mut node.gpus, series.label("resource"), value),
            _ => {
                let labels = series.labels.iter();
                let labels = labels.filter_map(|(name, value)| {
                    Some((name.strip_prefix("label_")?.to_owned(), value.clone()))
                });
                node.labels.extend(labels);
            }
        }
    }

    fn take_pod(&mut self, part: Part, names: &Names, series: &Series, value: f64) {
        let label = |name: &str| series.label(name).to_owned();
        let key = (label(&names.namespace), label(&names.pod), label(&names.uid));
        if key.1.is_empty() {
            self.strange += 1;
            return;
        }
        let pod = self.pods.entry(key).or_default();
        match part {
            Part::Gpus => most(&mut pod.gpus, series.label("resource"), value),
            Part::InitGpus => most(&mut pod.init_gpus, series.label("resource"), value),
            Part::Created => latest(&mut pod.created, value),
            Part::Scheduled => latest(&mut pod.scheduled, value),
            Part::Started => earliest(&mut pod.started, value),
            Part::Completed => latest(&mut pod.completed, value),
            Part::Deleted => latest(&mut pod.deleted, value),
            Part::FirstSeen => earliest(&mut pod.first_seen, value),
            Part::LastSeen => latest(&mut pod.last_seen, value),
            Part::FirstPlaced => earliest(&mut pod.first_placed, value),
            Part::Phase => {
                pod.has_ended = true;
                pod.has_failed |= series.label("phase") == "Failed";
            }
            Part::Owner => {
                pod.owner = Some((
                    series.label("owner_kind").to_owned(),
                    series.label("owner_name").to_owned(),
                ));
            }
            _ => pod.node = Some(label(&names.node)),
        }
    }
}

fn instant(seconds: f64) -> Timestamp {
    Timestamp((seconds.min(8.6e9) * 1000.0).round() as i64)
}

fn latest(kept: &mut Option<Timestamp>, seconds: f64) {
    let at = instant(seconds);
    *kept = Some(kept.map_or(at, |kept| kept.max(at)));
}

fn earliest(kept: &mut Option<Timestamp>, seconds: f64) {
    let at = instant(seconds);
    *kept = Some(kept.map_or(at, |kept| kept.min(at)));
}

fn most(kept: &mut BTreeMap<String, u32>, resource: &str, value: f64) {
    let value = value.round().min(f64::from(u32::MAX)) as u32;
    let entry = kept.entry(resource.to_owned()).or_default();
    *entry = value.max(*entry);
}
