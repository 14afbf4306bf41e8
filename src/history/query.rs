//! The queries, as text. A window is the span before the instant of evaluation.
//!
//! Traps these avoid: a pending pod's series has no `node`, so each container yields two series over its life
//! (`max by` first, then `sum`); two replicas of kube-state-metrics double every sum; requests of ended pods go
//! on being exported until the object is gone (last samples are taken, and ends looked for elsewhere);
//! `timestamp` tells the instant of a sample only of a plain selector, of an expression that of the evaluation.

use super::source::{GpuMetric, Source};
use crate::promql::in_quotes;

/// One of the tables that pods' and nodes' lives are put together from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Part {
    /// GPUs of the containers of a pod, by resource.
    Gpus,
    /// GPUs of the largest init container, by resource.
    InitGpus,
    /// When a pod was created.
    Created,
    /// When it was given a node.
    Scheduled,
    /// When its first container started.
    Started,
    /// When its last container ended.
    Completed,
    /// When it was asked to go.
    Deleted,
    /// The instant of its first sample.
    FirstSeen,
    /// The instant of its last sample.
    LastSeen,
    /// The instant of its first sample with a node.
    FirstPlaced,
    /// `Succeeded` or `Failed`, if it ended.
    Phase,
    /// Its controller.
    Owner,
    /// Its node.
    Node,
    /// Controllers of ReplicaSets.
    ReplicaSetOwner,
    /// Controllers of Jobs.
    JobOwner,
    /// When a node was registered.
    NodeCreated,
    /// The instant of a node's last sample.
    NodeLastSeen,
    /// The instant of its first sample as Ready.
    NodeReady,
    /// The instant of its first sample with GPUs.
    NodeGpuReady,
    /// Its GPUs, by resource.
    NodeGpus,
    /// Its labels, as far as they are exported.
    NodeLabels,
}

impl Part {
    /// What is asked of kube-state-metrics.
    const OF_STATE_METRICS: [Self; 11] = [
        Self::Gpus,
        Self::InitGpus,
        Self::Created,
        Self::Scheduled,
        Self::Started,
        Self::Completed,
        Self::Deleted,
        Self::LastSeen,
        Self::Phase,
        Self::Owner,
        Self::Node,
    ];

    /// What kube-scheduler's metric can tell.
    const OF_SCHEDULER: [Self; 5] =
        [Self::Gpus, Self::FirstSeen, Self::FirstPlaced, Self::LastSeen, Self::Node];

    const OF_NODES: [Self; 5] = [
        Self::NodeCreated,
        Self::NodeLastSeen,
        Self::NodeReady,
        Self::NodeGpuReady,
        Self::NodeGpus,
    ];

    /// What changes seldom and is asked for once a day.
    const OF_A_DAY: [Self; 3] = [Self::ReplicaSetOwner, Self::JobOwner, Self::NodeLabels];

    /// The tables that make up a source: those of a piece of time, and those of a day.
    pub(super) fn of(metric: GpuMetric) -> (Vec<Self>, Vec<Self>) {
        let (pods, daily): (&[Self], &[Self]) = match metric {
            GpuMetric::KubeStateMetrics => (&Self::OF_STATE_METRICS, &Self::OF_A_DAY),
            GpuMetric::Scheduler => (&Self::OF_SCHEDULER, &[Self::NodeLabels]),
        };
        (pods.iter().chain(&Self::OF_NODES).copied().collect(), daily.to_vec())
    }

    /// The query over the last `span` seconds.
    pub fn text(self, source: &Source, span: i64) -> String {
        let words = Words::new(source, span);
        match source.metric {
            GpuMetric::KubeStateMetrics => self.of_state_metrics(&words),
            GpuMetric::Scheduler => {
                self.of_scheduler(&words).unwrap_or_else(|| self.of_state_metrics(&words))
            }
        }
    }

    fn of_scheduler(self, words: &Words<'_>) -> Option<String> {
        let names = &words.source.names;
        let key = format!("{},{}", names.namespace, names.pod);
        let (metric, by, window) = ("kube_pod_resource_request", &words.resource, &words.window);
        let (node, sub) = (&names.node, &words.sub);
        Some(match self {
            Self::Gpus => {
                format!("max by ({key},resource) (max_over_time({metric}{{{by}}}[{window}]))")
            }
            Self::FirstSeen => {
                format!("min by ({key}) (min_over_time(timestamp({metric}{{{by}}}){sub}))")
            }
            Self::FirstPlaced => format!(
                "min by ({key}) (min_over_time(timestamp({metric}{{{by},{node}!=\"\"}}){sub}))"
            ),
            Self::LastSeen => {
                format!("max by ({key}) (max_over_time(timestamp({metric}{{{by}}}){sub}))")
            }
            Self::Node => format!(
                "max by ({key},{node}) (max_over_time({metric}{{{by},{node}!=\"\"}}[{window}]))"
            ),
            _ => return None,
        })
    }

    fn of_state_metrics(self, words: &Words<'_>) -> String {
        let Names { key, container, node, namespace } = words.names();
        let (by, window, sub) = (&words.resource, &words.window, &words.sub);
        match self {
            Self::Gpus => format!(
                "sum by ({key},resource) (max by ({key},{container},resource) \
                 (max_over_time(kube_pod_container_resource_requests{{{by}}}[{window}])))"
            ),
            Self::InitGpus => format!(
                "max by ({key},resource) \
                 (max_over_time(kube_pod_init_container_resource_requests{{{by}}}[{window}]))"
            ),
            Self::Created => words.of_pods("max", "kube_pod_created", ""),
            Self::Scheduled => words.of_pods("max", "kube_pod_status_scheduled_time", ""),
            Self::Started => words.of_pods("min", "kube_pod_container_state_started", ""),
            Self::Completed => words.of_pods("max", "kube_pod_completion_time", ""),
            Self::Deleted => words.of_pods("max", "kube_pod_deletion_timestamp", ""),
            Self::FirstSeen | Self::LastSeen | Self::FirstPlaced => {
                let (side, only) = match self {
                    Self::LastSeen => ("max", String::new()),
                    Self::FirstPlaced => ("min", format!(",{node}!=\"\"")),
                    _ => ("min", String::new()),
                };
                format!(
                    "{side} by ({key}) ({side}_over_time(timestamp(\
                     kube_pod_container_resource_requests{{{by}{only}}}){sub}))"
                )
            }
            Self::Phase => format!(
                "max by ({key},phase) \
                 (max_over_time(kube_pod_status_phase{{phase=~\"Succeeded|Failed\"}}[{window}])) == 1{}",
                words.only_gpu_pods()
            ),
            Self::Owner => words.of_pods(
                "max",
                "kube_pod_owner{owner_is_controller=\"true\"}",
                ",owner_kind,owner_name",
            ),
            Self::Node => format!(
                "max by ({key},{node}) \
                 (max_over_time(kube_pod_container_resource_requests{{{by},{node}!=\"\"}}[{window}]))"
            ),
            Self::ReplicaSetOwner => format!(
                "max by ({namespace},replicaset,owner_kind,owner_name) \
                 (max_over_time(kube_replicaset_owner{{owner_kind!=\"\"}}[{window}]))"
            ),
            Self::JobOwner => format!(
                "max by ({namespace},job_name,owner_kind,owner_name) \
                 (max_over_time(kube_job_owner{{owner_kind!=\"\"}}[{window}]))"
            ),
            Self::NodeCreated => {
                format!("max by ({node}) (max_over_time(kube_node_created[{window}]))")
            }
            Self::NodeLastSeen => {
                format!("max by ({node}) (max_over_time(timestamp(kube_node_created){sub}))")
            }
            Self::NodeReady => {
                let ready = "kube_node_status_condition{condition=\"Ready\",status=\"true\"}";
                format!(
                    "min by ({node}) (min_over_time((timestamp({ready}) and {ready} == 1){sub}))"
                )
            }
            Self::NodeGpuReady => {
                let gpus = format!("kube_node_status_allocatable{{{}}}", words.node_resource);
                format!("min by ({node}) (min_over_time((timestamp({gpus}) and {gpus} > 0){sub}))")
            }
            Self::NodeGpus => format!(
                "max by ({node},resource) (max_over_time(kube_node_status_allocatable{{{}}}[{window}]))",
                words.node_resource
            ),
            Self::NodeLabels => format!(
                "last_over_time(kube_node_labels[{window}]) and on ({node}) \
                 max by ({node}) (max_over_time(kube_node_status_allocatable{{{}}}[{window}]))",
                words.node_resource
            ),
        }
    }
}

/// A figure of the whole cluster over time, for range queries. They check what the lives of pods and nodes add
/// up to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Sight {
    /// GPUs that pods without a node ask for.
    Pending,
    /// GPUs that pods ask for, with a node or without.
    Demand,
    /// GPUs of pods by their node.
    Allocated,
    /// Allocatable GPUs.
    Capacity,
    /// Nodes that are Ready and meant to have GPUs (they have Cluster API's label), and have none.
    WithoutDriver,
    /// The instant of the latest scrape.
    Scraped,
}

impl Sight {
    /// The query.
    pub fn text(self, source: &Source) -> String {
        let words = Words::new(source, 0);
        let Names { key, container, node, .. } = words.names();
        let (by, at) = (&words.resource, &words.node_resource);
        let requests = |only: &str, keep: &str| {
            format!(
                "max by ({keep}{key},{container}) (kube_pod_container_resource_requests{{{by}{only}}})"
            )
        };
        let phase = |phase: &str| {
            format!(
                "on ({key}) group_left () max by ({key}) (kube_pod_status_phase{{phase=~\"{phase}\"}} == 1)"
            )
        };
        match self {
            Self::Pending => format!(
                "sum({} * {}) or vector(0)",
                requests(&format!(",{node}=\"\""), ""),
                phase("Pending")
            ),
            Self::Demand => {
                format!("sum({} * {}) or vector(0)", requests("", ""), phase("Pending|Running"))
            }
            Self::Allocated => format!(
                "sum by ({node}) ({} * {})",
                requests(&format!(",{node}!=\"\""), &format!("{node},")),
                phase("Pending|Running")
            ),
            Self::Capacity => {
                format!("sum(max by ({node}) (kube_node_status_allocatable{{{at}}})) or vector(0)")
            }
            Self::WithoutDriver => format!(
                "count(max by ({node}) (kube_node_status_condition{{condition=\"Ready\",status=\"true\"}} == 1) \
                 and on ({node}) kube_node_labels{{label_cluster_api_accelerator!=\"\"}} \
                 unless on ({node}) (kube_node_status_allocatable{{{at}}} > 0)) or vector(0)"
            ),
            Self::Scraped => match source.metric {
                GpuMetric::KubeStateMetrics => "max(timestamp(kube_node_created))".to_owned(),
                GpuMetric::Scheduler => "max(timestamp(kube_pod_resource_request))".to_owned(),
            },
        }
    }
}

/// Pieces that queries are made of.
struct Words<'a> {
    source: &'a Source,
    /// `6h`.
    window: String,
    /// A subquery that sees every sample once.
    sub: String,
    /// Matcher of the resource in a pod's metric.
    resource: String,
    /// The same in a node's metric, which only kube-state-metrics has.
    node_resource: String,
}

/// Labels by which series are told apart.
struct Names<'a> {
    key: String,
    namespace: &'a str,
    container: &'a str,
    node: &'a str,
}

impl<'a> Words<'a> {
    fn new(source: &'a Source, span: i64) -> Self {
        let window = format!("{span}s");
        // A sample is seen until the next scrape; a server looks back five minutes at most.
        let step = (source.interval.0 * 9 / 10_000).clamp(1, 240);
        let sub = format!("[{window}:{step}s]");
        let resource = format!("resource=~{}", in_quotes(&source.resource));
        let written = match source.metric {
            GpuMetric::KubeStateMetrics => source.resource.clone(),
            GpuMetric::Scheduler => {
                source.resource.replace("\\.", "_").replace(['.', '/', '-'], "_")
            }
        };
        let node_resource = format!("resource=~{}", in_quotes(&written));
        Self { source, window, sub, resource, node_resource }
    }

    fn names(&self) -> Names<'a> {
        let names = &self.source.names;
        Names {
            key: names.pod_key(),
            namespace: &names.namespace,
            container: &names.container,
            node: &names.node,
        }
    }

    /// The greatest or least value of a metric in the window, for pods that ask for GPUs.
    fn of_pods(&self, side: &str, metric: &str, more: &str) -> String {
        let (key, window) = (self.source.names.pod_key(), &self.window);
        let values = format!("{side} by ({key}{more}) ({side}_over_time({metric}[{window}]))");
        format!("{values}{}", self.only_gpu_pods())
    }

    fn only_gpu_pods(&self) -> String {
        let (key, by, window) = (self.source.names.pod_key(), &self.resource, &self.window);
        format!(
            " and on ({key}) max by ({key}) \
             (max_over_time(kube_pod_container_resource_requests{{{by}}}[{window}]))"
        )
    }
}
