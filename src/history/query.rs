//! The queries, as text. A window is the span before the instant of evaluation.
//!
//! What a server does for a query it does per series and per step, so few queries go over many series each:
//! all that a pod says of itself is one query, and where the instants of samples matter the samples themselves
//! are asked for (`metric[24h]`). A subquery with `timestamp` gives the same and takes a server ten times as
//! long.
//!
//! Traps these avoid: a pending pod's series has no `node`, so each container yields two series over its life;
//! two replicas of kube-state-metrics double every sum (`max by` first, then `sum`); requests of ended pods go
//! on being exported until the object is gone (last samples are taken, and ends looked for elsewhere).

use super::source::{GpuMetric, Source};
use crate::promql::in_quotes;

/// One of the tables that pods' and nodes' lives are put together from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Part {
    /// Samples of what each container of a pod asks for, with the pod's node once it has one. Of kube-scheduler:
    /// of what the pod asks for.
    Requests,
    /// GPUs of the largest init container, by resource.
    InitGpus,
    /// The last value of each of `SAID`.
    Said,
    /// Controllers of ReplicaSets.
    ReplicaSetOwner,
    /// Controllers of Jobs.
    JobOwner,
    /// When a node was registered.
    NodeCreated,
    /// Samples of a node's GPUs, by resource.
    NodeGpus,
    /// Samples of whether a node is Ready; only of nodes that are new.
    NodeReady,
    /// A node's labels, as far as they are exported.
    NodeLabels,
    /// When the Machines of Cluster API were created, and which nodes they became.
    Machines,
}

/// What a pod says of itself, besides its requests. None of it changes, but starts and ends of containers.
pub(super) const SAID: [&str; 7] = [
    "kube_pod_created",
    "kube_pod_status_scheduled_time",
    "kube_pod_container_state_started",
    "kube_pod_completion_time",
    "kube_pod_deletion_timestamp",
    "kube_pod_status_phase",
    "kube_pod_owner",
];

impl Part {
    /// What changes seldom and is asked for once a day.
    const OF_A_DAY: [Self; 4] =
        [Self::ReplicaSetOwner, Self::JobOwner, Self::NodeLabels, Self::Machines];

    /// The tables that make up a source: those of a piece of time, and those of a day.
    pub(super) const fn of(metric: GpuMetric) -> (&'static [Self], &'static [Self]) {
        match metric {
            GpuMetric::KubeStateMetrics => (
                &[Self::Requests, Self::InitGpus, Self::Said, Self::NodeCreated, Self::NodeGpus],
                &Self::OF_A_DAY,
            ),
            GpuMetric::Scheduler => (
                &[Self::Requests, Self::NodeCreated, Self::NodeGpus],
                &[Self::NodeLabels, Self::Machines],
            ),
        }
    }

    /// The query over the last `span` seconds. `nodes` (a regular expression) is what
    /// [`Part::NodeReady`] is about.
    pub fn text(self, source: &Source, span: i64, nodes: &str) -> String {
        let words = Words::new(source, span);
        let Names { key, node, namespace, container } = words.names();
        let (by, of_nodes, window) = (&words.resource, &words.node_resource, &words.window);
        match self {
            Self::Requests => format!("{}{{{by}}}[{window}]", source.metric.name()),
            Self::InitGpus => format!(
                "max by ({key},resource) \
                 (max_over_time(kube_pod_init_container_resource_requests{{{by}}}[{window}]))"
            ),
            Self::Said => format!(
                "max by (__name__,{key},{container},phase,owner_kind,owner_name) (last_over_time({{__name__=~{},\
                 phase!~\"Pending|Running|Unknown\",owner_is_controller!=\"false\"}}[{window}])) > 0 \
                 and on ({key}) max by ({key}) (max_over_time({}{{{by}}}[{window}]))",
                in_quotes(&SAID.join("|")),
                source.metric.name()
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
            Self::NodeGpus => format!("kube_node_status_allocatable{{{of_nodes}}}[{window}]"),
            Self::NodeReady => format!(
                "kube_node_status_condition{{condition=\"Ready\",status=\"true\",{node}=~{}}}[{window}]",
                in_quotes(nodes)
            ),
            Self::Machines => format!(
                "max by (__name__,name,node_name) (last_over_time(\
                 {{__name__=~\"capi_machine_created|capi_machine_status_noderef\"}}[{window}]))"
            ),
            Self::NodeLabels => format!(
                "last_over_time(kube_node_labels[{window}]) and on ({node}) \
                 max by ({node}) (max_over_time(kube_node_status_allocatable{{{of_nodes}}}[{window}]))"
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
    /// Nodes that each MachineDeployment of Cluster API is asked for.
    AskedFor,
}

impl Sight {
    /// The query.
    pub fn text(self, source: &Source) -> String {
        let words = Words::new(source, 0);
        let Names { key, node, container, .. } = words.names();
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
            Self::AskedFor => {
                "max by (cluster_name,name) (capi_machinedeployment_spec_replicas)".to_owned()
            }
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
        let resource = format!("resource=~{}", in_quotes(&source.resource));
        let written = match source.metric {
            GpuMetric::KubeStateMetrics => source.resource.clone(),
            GpuMetric::Scheduler => {
                source.resource.replace("\\.", "_").replace(['.', '/', '-'], "_")
            }
        };
        let node_resource = format!("resource=~{}", in_quotes(&written));
        Self { source, window: format!("{span}s"), resource, node_resource }
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
}
