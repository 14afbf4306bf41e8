//! Which series there are, what is missing for it, and how to get it.

use super::source::GpuMetric;
use std::collections::BTreeMap;

/// How badly a metric is needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// Without it there is no history.
    Must,
    /// Without it something is guessed.
    Should,
}

/// A metric that is read, and what to do where it is not there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Presence {
    /// Name.
    pub metric: &'static str,
    /// How badly.
    pub need: Need,
    /// What it is for.
    pub what_for: &'static str,
    /// How to get it.
    pub remedy: &'static str,
}

const STATE_METRICS: &str = "install kube-state-metrics and let Prometheus scrape it (the Helm charts \
    kube-prometheus-stack and kube-state-metrics do), with the resources pods and nodes";
const SCHEDULER: &str = "let Prometheus scrape the path /metrics/resources of kube-scheduler, or read \
    kube-state-metrics (--gpu-metric ksm)";

const CLUSTER_API: &str = "if nodes come from Cluster API, run a kube-state-metrics in the management cluster \
    with --custom-resource-state-config-file, the file being that of Cluster API's own repository \
    (config/metrics/crd-metrics-config.yaml); until then it is estimated from the pods that waited";

const fn must(metric: &'static str, what_for: &'static str, remedy: &'static str) -> Presence {
    Presence { metric, need: Need::Must, what_for, remedy }
}

const fn should(metric: &'static str, what_for: &'static str, remedy: &'static str) -> Presence {
    Presence { metric, need: Need::Should, what_for, remedy }
}

const OF_NODES: [Presence; 6] = [
    must("kube_node_created", "the lives of nodes", STATE_METRICS),
    must("kube_node_status_allocatable", "the GPUs of nodes", STATE_METRICS),
    should("kube_node_status_condition", "how long nodes take to become Ready", STATE_METRICS),
    should(
        "kube_node_labels",
        "which nodes are a pool",
        "run kube-state-metrics with --metric-labels-allowlist=nodes=[nvidia.com/gpu.product,\
         cluster-api/accelerator,node.kubernetes.io/instance-type]; until then pools are told apart by their \
         number of GPUs, or by --pool",
    ),
    should("capi_machine_created", "when nodes were asked for", CLUSTER_API),
    should("capi_machinedeployment_spec_replicas", "how many nodes were asked for", CLUSTER_API),
];

const OF_PODS: [Presence; 7] = [
    must("kube_pod_container_resource_requests", "the GPUs of pods", STATE_METRICS),
    must("kube_pod_created", "when pods came", STATE_METRICS),
    must("kube_pod_status_scheduled_time", "how long pods waited", STATE_METRICS),
    should("kube_pod_container_state_started", "when containers started", STATE_METRICS),
    should("kube_pod_status_phase", "which pods are over", STATE_METRICS),
    should("kube_pod_completion_time", "when pods ended", STATE_METRICS),
    should("kube_pod_owner", "whose pods they are", STATE_METRICS),
];

/// The metrics that a source is read from.
pub fn needs(metric: GpuMetric) -> Vec<Presence> {
    let of_pods: &[Presence] = match metric {
        GpuMetric::KubeStateMetrics => &OF_PODS,
        GpuMetric::Scheduler => &[must(
            "kube_pod_resource_request",
            "the GPUs of pods, when they came and went",
            SCHEDULER,
        )],
    };
    of_pods.iter().chain(&OF_NODES).copied().collect()
}

/// What was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Discovery {
    /// Series by metric; those that are not there are missing.
    pub series: BTreeMap<String, u64>,
    /// GPU-like resources of pods, by pods.
    pub resources: BTreeMap<String, u64>,
}

impl Discovery {
    /// Whether a metric is there.
    pub fn has(&self, metric: &str) -> bool {
        self.series.get(metric).is_some_and(|&series| series > 0)
    }

    /// What is missing of what a source needs.
    pub fn missing(&self, metric: GpuMetric) -> Vec<Presence> {
        needs(metric).into_iter().filter(|need| !self.has(need.metric)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_comes_with_a_remedy() {
        let mut found = Discovery::default();
        let missing = found.missing(GpuMetric::KubeStateMetrics);
        assert_eq!(missing.len(), 13);
        assert!(missing.iter().all(|need| !need.remedy.is_empty()));
        for need in missing.iter().filter(|need| need.need == Need::Must) {
            found.series.insert(need.metric.to_owned(), 3);
        }
        let rest = found.missing(GpuMetric::KubeStateMetrics);
        assert!(rest.iter().all(|need| need.need == Need::Should) && !rest.is_empty());
    }
}
