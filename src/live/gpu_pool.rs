//! Our own object, `GpuPool`: the settings of a pool, and what the controller says of it.
//!
//! It stands beside its MachineDeployment in the management cluster. Everything has a default, so an object
//! with nothing but `targetRef` is complete; discovery makes such objects in `Shadow`.

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Group of our object.
pub const GROUP: &str = "prewarm.dev";

/// Settings of a pool of equal GPU nodes.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[kube(
    group = "prewarm.dev",
    version = "v1alpha1",
    kind = "GpuPool",
    plural = "gpupools",
    shortname = "gpool",
    category = "prewarm",
    namespaced,
    derive = "PartialEq",
    status = "GpuPoolStatus",
    doc = "A pool of equal GPU nodes that Prewarm keeps ready ahead of demand.",
    printcolumn = r#"{"name":"Mode","type":"string","jsonPath":".spec.mode"}"#,
    printcolumn = r#"{"name":"Replicas","type":"integer","jsonPath":".status.replicas"}"#,
    printcolumn = r#"{"name":"Ready","type":"integer","jsonPath":".status.ready"}"#,
    printcolumn = r#"{"name":"Warming","type":"integer","jsonPath":".status.warming"}"#,
    printcolumn = r#"{"name":"Pending","type":"integer","jsonPath":".status.pendingGpus","description":"GPUs that waiting pods ask for"}"#,
    printcolumn = r#"{"name":"Target","type":"integer","jsonPath":".status.targetReplicas"}"#,
    printcolumn = r#"{"name":"Strategy","type":"string","jsonPath":".status.activeStrategy","priority":1}"#,
    printcolumn = r#"{"name":"Lead","type":"string","jsonPath":".status.leadTimeP50","priority":1}"#,
    printcolumn = r#"{"name":"Age","type":"date","jsonPath":".metadata.creationTimestamp"}"#
)]
#[serde(rename_all = "camelCase")]
pub struct GpuPoolSpec {
    /// What is scaled. Left out: the MachineDeployment of the same name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target_ref: Option<TargetRef>,
    /// How far the controller goes. Shadow writes nothing but its own status.
    #[serde(default)]
    pub mode: Mode,
    /// Cost of a waiting GPU-hour over the price of a GPU-hour; 1 and less: nothing ahead of demand.
    #[serde(default = "GpuPoolSpec::default_waiting_cost_ratio")]
    #[schemars(range(min = 0.0, max = 10000.0))]
    pub waiting_cost_ratio: f64,
    /// Bounds of what may be done.
    #[serde(default)]
    pub limits: Limits,
    /// What nodes take until something better is known.
    #[serde(default)]
    pub lead_time: LeadTimePriors,
    /// Capacity by the clock.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub schedules: Vec<Schedule>,
    /// Metrics that move before pods do.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 16),
        extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"])
    )]
    pub signals: Vec<SignalQuery>,
    /// How replicas are raised and lowered.
    #[serde(default)]
    pub actuation: Actuation,
    /// `Auto`, or the name of a strategy to follow (see `prewarm simulate --help`).
    #[serde(default = "GpuPoolSpec::default_strategy")]
    pub strategy: String,
}

impl GpuPoolSpec {
    /// Twenty GPU-hours paid are worth one GPU-hour not waited.
    pub const fn default_waiting_cost_ratio() -> f64 {
        20.0
    }

    fn default_strategy() -> String {
        "Auto".to_owned()
    }

    /// Settings of an object that states nothing.
    pub fn defaults() -> Self {
        Self {
            waiting_cost_ratio: Self::default_waiting_cost_ratio(),
            strategy: Self::default_strategy(),
            ..Self::default()
        }
    }
}

/// What is scaled.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TargetRef {
    /// `MachineDeployment`.
    #[serde(default = "TargetRef::default_kind")]
    pub kind: String,
    /// Its name, in the same namespace.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
}

impl TargetRef {
    fn default_kind() -> String {
        "MachineDeployment".to_owned()
    }
}

/// How far the controller goes.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    JsonSchema,
)]
pub enum Mode {
    /// Nothing is decided.
    Off,
    /// Decisions are recorded and shown; nothing is written but our own status.
    #[default]
    Shadow,
    /// The same, and Events say what would be done.
    Advise,
    /// Decisions are carried out.
    Active,
}

/// Bounds of what may be done. What is left out is bounded by cluster-autoscaler's annotations.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("!has(self.minReplicas) || !has(self.maxReplicas) || self.minReplicas <= self.maxReplicas").message("minReplicas must not be above maxReplicas"))]
pub struct Limits {
    /// Never fewer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 1_000_000))]
    pub min_replicas: Option<u32>,
    /// Never more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 1_000_000))]
    pub max_replicas: Option<u32>,
    /// Nodes on their way ahead of demand at one time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 1_000_000))]
    pub max_in_flight: Option<u32>,
    /// Nodes kept ahead of demand.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 1_000_000))]
    pub max_speculative_nodes: Option<u32>,
    /// Node-hours ahead of demand, in per cent of what a reactive controller would have used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 1000))]
    pub speculative_overhead_percent: Option<u32>,
    /// Node-hours ahead of demand that may be used before they are earned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 1_000_000))]
    pub speculative_node_hours: Option<u32>,
}

/// What nodes take until something better is known; durations such as `5m` or `1h30m`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LeadTimePriors {
    /// From the request until the node is Ready. Default 5m.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = r"^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$"))]
    pub provisioning: Option<String>,
    /// From Ready until all GPUs are allocatable. Default 4m.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = r"^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$"))]
    pub warm_up: Option<String>,
}

/// Capacity by the clock.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Schedule {
    /// When it begins: five fields, as in CronJobs.
    #[schemars(length(min = 1, max = 128))]
    pub cron: String,
    /// IANA name, default UTC.
    #[serde(default = "Schedule::default_time_zone")]
    pub time_zone: String,
    /// How long, such as `9h`.
    #[schemars(regex(pattern = r"^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$"))]
    pub duration: String,
    /// Nodes to have ready then, those in use included.
    #[schemars(range(min = 0, max = 1_000_000))]
    pub nodes: u32,
}

impl Schedule {
    fn default_time_zone() -> String {
        "UTC".to_owned()
    }
}

/// A metric that moves before pods do.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SignalQuery {
    /// Unique within the pool.
    #[schemars(length(min = 1, max = 63))]
    pub name: String,
    /// An instant query that gives one number.
    #[schemars(length(min = 1, max = 4096))]
    pub promql: String,
    /// GPUs for each unit of the number. Default 1.
    #[serde(default = "SignalQuery::default_gpus_per_unit")]
    #[schemars(range(min = 0.0, max = 10000.0))]
    pub gpus_per_unit: f64,
    /// How long it runs ahead of the pods, in seconds; 0 = learn it.
    #[serde(default)]
    #[schemars(range(min = 0, max = 86400))]
    pub lead_seconds: u32,
    /// Never ask for more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 1_000_000))]
    pub max_gpus: Option<u32>,
}

impl SignalQuery {
    const fn default_gpus_per_unit() -> f64 {
        1.0
    }
}

/// How replicas are raised and lowered.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Actuation {
    /// Which lever.
    #[serde(default)]
    pub backend: Backend,
    /// Who removes nodes.
    #[serde(default)]
    pub scale_down: ScaleDownBy,
}

/// Which lever raises the pool.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    JsonSchema,
)]
pub enum Backend {
    /// By what is there: `Replicas` without cluster-autoscaler, otherwise by what it can be told.
    #[default]
    Auto,
    /// Patch `/scale` and hold the new nodes.
    Replicas,
    /// Raise cluster-autoscaler's min-size annotation; it does the buying.
    Floor,
}

/// Who removes nodes.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    JsonSchema,
)]
pub enum ScaleDownBy {
    /// Holds are released; cluster-autoscaler removes what it finds unneeded.
    #[default]
    ClusterAutoscaler,
    /// Cordon, look again, mark the Machine, lower replicas by one.
    Prewarm,
}

/// What the controller says of a pool.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GpuPoolStatus {
    /// The generation of `spec` this is about.
    #[serde(default)]
    pub observed_generation: i64,
    /// `TargetFound`, `SettingsValid`, `Actuating`, `Limited`, `NodesOnTime`, `Trusted`, `SignalsRead`,
    /// `AutoscalerSeen`.
    #[serde(default)]
    pub conditions: Vec<PoolCondition>,
    /// Nodes asked for (`spec.replicas` of the target).
    #[serde(default)]
    pub replicas: u32,
    /// Nodes with all GPUs allocatable.
    #[serde(default)]
    pub ready: u32,
    /// Nodes on their way: asked for, booting, or without all their GPUs.
    #[serde(default)]
    pub warming: u32,
    /// GPUs that waiting pods ask for.
    #[serde(default)]
    pub pending_gpus: u64,
    /// GPUs in use and waited for.
    #[serde(default)]
    pub demand_gpus: u64,
    /// Nodes the pool should have.
    #[serde(default)]
    pub target_replicas: u32,
    /// Nodes we hold against removal.
    #[serde(default)]
    pub held_nodes: u32,
    /// Median of the lead time, such as `9m5s`.
    #[serde(default)]
    pub lead_time_p50: String,
    /// Its 90 % quantile.
    #[serde(default)]
    pub lead_time_p90: String,
    /// The strategy that is followed.
    #[serde(default)]
    pub active_strategy: String,
    /// What may still be spent ahead of demand.
    #[serde(default)]
    pub budget: Budget,
    /// Outside signals, as in `spec.signals`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub signals: Vec<SignalStatus>,
    /// The last decision that changed something or was the first of its kind.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_decision: Option<LastDecision>,
}

/// What may still be spent ahead of demand.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Budget {
    /// Node-hours left.
    #[serde(default)]
    pub credit_node_hours: f64,
    /// Nodes that may be asked for now.
    #[serde(default)]
    pub allowed_nodes: u32,
}

/// What a signal says and what is thought of it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SignalStatus {
    /// As in `spec.signals`.
    pub name: String,
    /// `Trial`, `Useful`, `Useless`, `Stale` or `Unread`.
    pub state: String,
    /// The last reading.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<f64>,
    /// GPUs it asks for beyond what runs and waits.
    #[serde(default)]
    pub gpus: u64,
    /// By how many minutes it runs ahead of demand, as far as that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lead_minutes: Option<i64>,
    /// What was learned, or what is wrong, in a sentence.
    #[serde(default)]
    pub message: String,
}

/// A decision as status shows it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LastDecision {
    /// As in the decision log and in annotations.
    pub id: String,
    /// RFC 3339.
    pub time: String,
    /// One sentence.
    pub reason: String,
}

/// A condition (`metav1.Condition`).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PoolCondition {
    /// Type.
    #[serde(rename = "type")]
    pub kind: String,
    /// `True`, `False` or `Unknown`.
    pub status: String,
    /// One word.
    pub reason: String,
    /// A sentence for people.
    pub message: String,
    /// RFC 3339, when `status` last changed.
    pub last_transition_time: String,
    /// The generation of `spec` this is about.
    #[serde(default)]
    pub observed_generation: i64,
}
