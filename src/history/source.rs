//! Which series are read, and how their labels are called.

use crate::{promql::Labels, time::Millis};

/// Where a pod's GPUs are read from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum GpuMetric {
    /// kube-state-metrics, `kube_pod_container_resource_requests`.
    #[default]
    KubeStateMetrics,
    /// kube-scheduler, `kube_pod_resource_request` of `/metrics/resources`. It has no uid: pods of one name are
    /// one pod.
    Scheduler,
}

impl GpuMetric {
    /// Name of the metric.
    pub const fn name(self) -> &'static str {
        match self {
            Self::KubeStateMetrics => "kube_pod_container_resource_requests",
            Self::Scheduler => "kube_pod_resource_request",
        }
    }
}

/// Names of the labels that say whom a series is about. A target scraped without `honor_labels: true` has
/// them as `exported_*` where they collide with its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Names {
    /// `namespace`.
    pub namespace: String,
    /// `pod`.
    pub pod: String,
    /// `uid`.
    pub uid: String,
    /// `container`.
    pub container: String,
    /// `node`.
    pub node: String,
}

impl Default for Names {
    fn default() -> Self {
        Self::of(&Labels::new())
    }
}

impl Names {
    /// The names that a series uses: `exported_x` where it has one.
    pub fn of(series: &Labels) -> Self {
        let name = |plain: &str| {
            let exported = format!("exported_{plain}");
            if series.contains_key(&exported) { exported } else { plain.to_owned() }
        };
        Self {
            namespace: name("namespace"),
            pod: name("pod"),
            uid: name("uid"),
            container: name("container"),
            node: name("node"),
        }
    }

    /// What tells one pod from another.
    pub(super) fn pod_key(&self) -> String {
        format!("{},{},{}", self.namespace, self.pod, self.uid)
    }
}

/// What is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// Names of labels.
    pub names: Names,
    /// Regular expression (anchored) of the resources that count as GPUs, as the metric writes them:
    /// `nvidia_com_gpu` of kube-state-metrics, `nvidia.com/gpu` of kube-scheduler.
    pub resource: String,
    /// Where a pod's GPUs are read from.
    pub metric: GpuMetric,
    /// Time between two scrapes.
    pub interval: Millis,
}

impl Source {
    /// NVIDIA GPUs, whole ones.
    pub const RESOURCE: &'static str = "nvidia_com_gpu";

    /// kube-state-metrics with its own names.
    pub fn new(interval: Millis) -> Self {
        Self {
            names: Names::default(),
            resource: Self::RESOURCE.to_owned(),
            metric: GpuMetric::KubeStateMetrics,
            interval,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exported_names_are_taken_where_a_series_has_them() {
        let series = [("exported_namespace", "ml"), ("namespace", "monitoring"), ("pod", "p")];
        let series = series.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        let names = Names::of(&series);
        assert_eq!((names.namespace.as_str(), names.pod.as_str()), ("exported_namespace", "pod"));
        assert_eq!(names.pod_key(), "exported_namespace,pod,uid");
    }
}
