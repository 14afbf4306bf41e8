//! Pods.

use super::{
    CapiKeys, Facts, instant, meta, or_default,
    resources::{Amounts, add, larger, resources},
};
use crate::{
    model::object::{Gang, Meta, Pod, PodPhase, Resources, Strings, Toleration, Unscheduled},
    time::Timestamp,
};
use kube::core::Object;
use serde::Deserialize;

/// Labels that name a GPU model: NVIDIA's feature discovery, cluster-autoscaler on Cluster API, CoreWeave.
const MODEL_KEYS: [&str; 3] =
    ["nvidia.com/gpu.product", "cluster-api/accelerator", "gpu.nvidia.com/class"];
const GATED: &str = "SchedulingGated";
const SCHEDULER_ERROR: &str = "SchedulerError";
/// Longest message that is kept.
const LONGEST_MESSAGE: usize = 512;

/// What is read of `spec`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PodSpec {
    node_name: Option<String>,
    scheduler_name: Option<String>,
    priority: Option<i32>,
    priority_class_name: Option<String>,
    #[serde(deserialize_with = "or_default")]
    containers: Vec<Container>,
    #[serde(deserialize_with = "or_default")]
    init_containers: Vec<Container>,
    /// Requests of the pod as a whole.
    resources: Option<Requests>,
    #[serde(deserialize_with = "or_default")]
    overhead: Amounts,
    #[serde(deserialize_with = "or_default")]
    node_selector: Strings,
    affinity: Option<Affinity>,
    #[serde(deserialize_with = "or_default")]
    tolerations: Vec<RawToleration>,
    #[serde(deserialize_with = "or_default")]
    resource_claims: Vec<Claim>,
    #[serde(deserialize_with = "or_default")]
    scheduling_gates: Vec<Named>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Container {
    resources: Option<Requests>,
    restart_policy: Option<String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Requests {
    #[serde(deserialize_with = "or_default")]
    requests: Amounts,
    #[serde(deserialize_with = "or_default")]
    limits: Amounts,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Affinity {
    node_affinity: Option<NodeAffinity>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct NodeAffinity {
    #[serde(rename = "requiredDuringSchedulingIgnoredDuringExecution")]
    required: Option<Terms>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Terms {
    #[serde(deserialize_with = "or_default")]
    node_selector_terms: Vec<Term>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Term {
    #[serde(deserialize_with = "or_default")]
    match_expressions: Vec<Expression>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Expression {
    key: String,
    operator: String,
    #[serde(deserialize_with = "or_default")]
    values: Vec<String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct RawToleration {
    #[serde(deserialize_with = "or_default")]
    key: String,
    operator: Option<String>,
    #[serde(deserialize_with = "or_default")]
    value: String,
    effect: Option<String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Claim {
    name: String,
    resource_claim_name: Option<String>,
    resource_claim_template_name: Option<String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Named {
    name: String,
}

/// What is read of `status`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PodStatus {
    phase: Option<String>,
    nominated_node_name: Option<String>,
    start_time: Option<String>,
    #[serde(deserialize_with = "or_default")]
    conditions: Vec<super::RawCondition>,
    #[serde(deserialize_with = "or_default")]
    container_statuses: Vec<ContainerStatus>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct ContainerStatus {
    #[serde(deserialize_with = "or_default")]
    state: State,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct State {
    running: Option<Span>,
    terminated: Option<Span>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Span {
    started_at: Option<String>,
    finished_at: Option<String>,
}

impl Facts for Pod {
    type Spec = PodSpec;
    type Status = PodStatus;

    fn facts(object: Object<PodSpec, PodStatus>, keys: &CapiKeys) -> Self {
        let Object { metadata, mut spec, status, .. } = object;
        let status = status.unwrap_or_default();
        let gang = gang(&metadata);
        let meta = meta::meta(metadata, |key| keys.is_kept(key));
        let (node_selector, gpu_models) = selector(&mut spec);
        let is_bound = spec.node_name.as_ref().is_some_and(|name| !name.is_empty());
        let scheduled = status.conditions.iter().find(|one| one.kind == "PodScheduled");
        let spans = || status.container_statuses.iter().map(|one| &one.state);
        let began = spans().flat_map(|state| state.running.iter().chain(&state.terminated));
        let began = began.filter_map(|span| time(span.started_at.as_ref())).min();
        let ended = spans().flat_map(|state| &state.terminated);
        let phase = phase(status.phase.as_deref());
        Self {
            phase,
            nominated_node: status.nominated_node_name.clone().filter(|name| !name.is_empty()),
            unscheduled: (!is_bound).then(|| unscheduled(&spec, scheduled)),
            requests: requests(&spec),
            claims: spec.resource_claims.iter().map(claim).collect(),
            node_selector,
            gpu_models,
            tolerations: spec.tolerations.into_iter().filter_map(toleration).collect(),
            priority: spec.priority.unwrap_or_default(),
            priority_class: spec.priority_class_name.unwrap_or_default(),
            scheduler: spec.scheduler_name.unwrap_or_default(),
            gang,
            scheduled_at: scheduled
                .filter(|one| one.is("True"))
                .and_then(super::RawCondition::since),
            started_at: began.or_else(|| time(status.start_time.as_ref())),
            finished_at: matches!(phase, PodPhase::Succeeded | PodPhase::Failed)
                .then(|| ended.filter_map(|span| time(span.finished_at.as_ref())).max())
                .flatten(),
            node: spec.node_name.filter(|_| is_bound),
            meta,
        }
    }
}

fn time(text: Option<&String>) -> Option<Timestamp> {
    text.and_then(|text| instant(text))
}

fn phase(phase: Option<&str>) -> PodPhase {
    match phase {
        None | Some("Pending" | "") => PodPhase::Pending,
        Some("Running") => PodPhase::Running,
        Some("Succeeded") => PodPhase::Succeeded,
        Some("Failed") => PodPhase::Failed,
        Some(_) => PodPhase::Unknown,
    }
}

fn unscheduled(spec: &PodSpec, scheduled: Option<&super::RawCondition>) -> Unscheduled {
    let message = |one: &super::RawCondition| one.message.chars().take(LONGEST_MESSAGE).collect();
    match scheduled.filter(|one| one.is("False")) {
        _ if !spec.scheduling_gates.is_empty() => Unscheduled::Gated,
        Some(one) if one.reason == GATED => Unscheduled::Gated,
        Some(one) if one.reason == SCHEDULER_ERROR => Unscheduled::SchedulerError(message(one)),
        Some(one) => Unscheduled::Unschedulable(message(one)),
        None => Unscheduled::NotSeen,
    }
}

/// What the scheduler reserves (component-helpers `PodRequests`): init containers run one after the other,
/// beside the sidecars that were started before them.
fn requests(spec: &PodSpec) -> Resources {
    let mut sum = Resources::default();
    spec.containers
        .iter()
        .for_each(|container| add(&mut sum, &asked(container.resources.as_ref())));
    let (mut sidecars, mut most) = (Resources::default(), Resources::default());
    for container in &spec.init_containers {
        let own = asked(container.resources.as_ref());
        if container.restart_policy.as_deref() == Some("Always") {
            add(&mut sidecars, &own);
            add(&mut sum, &own);
            larger(&mut most, &sidecars);
        } else {
            let mut beside = sidecars.clone();
            add(&mut beside, &own);
            larger(&mut most, &beside);
        }
    }
    larger(&mut sum, &most);
    if let Some(whole) = &spec.resources {
        let (told, whole) = (&whole.requests, resources(&whole.requests));
        sum.cpu_milli = if told.contains_key("cpu") { whole.cpu_milli } else { sum.cpu_milli };
        let memory = told.contains_key("memory").then_some(whole.memory_bytes);
        sum.memory_bytes = memory.unwrap_or(sum.memory_bytes);
    }
    add(&mut sum, &resources(&spec.overhead));
    sum.extended.retain(|_, amount| *amount > 0);
    sum
}

/// Requests, with limits in place of those that are not given.
fn asked(told: Option<&Requests>) -> Resources {
    let Some(told) = told else { return Resources::default() };
    let mut amounts = told.limits.clone();
    amounts.extend(told.requests.iter().map(|(name, amount)| (name.clone(), amount.clone())));
    resources(&amounts)
}

/// The labels a node must have, and apart from them the acceptable GPU models. Affinity counts only where
/// there is one term: of several, any would do.
fn selector(spec: &mut PodSpec) -> (Strings, Vec<String>) {
    let mut labels = std::mem::take(&mut spec.node_selector);
    let mut models: Vec<String> = MODEL_KEYS.iter().filter_map(|key| labels.remove(*key)).collect();
    let affinity = spec.affinity.take().and_then(|affinity| affinity.node_affinity);
    let terms = affinity.and_then(|affinity| affinity.required).unwrap_or_default();
    let [term] = &terms.node_selector_terms[..] else {
        models.extend(models_of_all(&terms.node_selector_terms));
        return (labels, sorted(models));
    };
    for one in term.match_expressions.iter().filter(|one| one.operator == "In") {
        if MODEL_KEYS.contains(&one.key.as_str()) {
            models.extend(one.values.iter().cloned());
        } else if let [value] = &one.values[..] {
            labels.insert(one.key.clone(), value.clone());
        }
    }
    (labels, sorted(models))
}

/// Models that any of several terms accepts; none if one of them does not mind.
fn models_of_all(terms: &[Term]) -> Vec<String> {
    let of = |term: &Term| -> Vec<String> {
        let named = |one: &&Expression| one.operator == "In" && MODEL_KEYS.contains(&&*one.key);
        term.match_expressions.iter().filter(named).flat_map(|one| one.values.clone()).collect()
    };
    let all: Vec<Vec<String>> = terms.iter().map(of).collect();
    if all.iter().any(Vec::is_empty) { Vec::new() } else { all.concat() }
}

fn sorted(mut names: Vec<String>) -> Vec<String> {
    names.sort();
    names.dedup();
    names
}

fn toleration(raw: RawToleration) -> Option<Toleration> {
    let effect = match raw.effect.as_deref() {
        None | Some("") => None,
        Some(told) => Some(super::node::effect(told)?),
    };
    let exists = raw.operator.as_deref() == Some("Exists");
    Some(Toleration { key: raw.key, exists, value: raw.value, effect })
}

fn claim(claim: &Claim) -> String {
    let named = claim.resource_claim_name.as_ref().or(claim.resource_claim_template_name.as_ref());
    named.unwrap_or(&claim.name).clone()
}

/// The group a pod starts with, by what gang schedulers and queues write on it: the co-scheduling plugin (its old
/// key too), Kueue, Volcano.
fn gang(meta: &kube::core::ObjectMeta) -> Option<Gang> {
    let value = |map: &Option<Strings>, key: &str| {
        map.as_ref().and_then(|map| map.get(key)).filter(|value| !value.is_empty()).cloned()
    };
    let (labels, annotations) = (&meta.labels, &meta.annotations);
    let name = value(labels, "scheduling.x-k8s.io/pod-group")
        .or_else(|| value(labels, "kueue.x-k8s.io/pod-group-name"))
        .or_else(|| value(labels, "pod-group.scheduling.sigs.k8s.io"))
        .or_else(|| value(annotations, "scheduling.k8s.io/group-name"))
        .or_else(|| value(annotations, "scheduling.volcano.sh/group-name"))?;
    let members = value(annotations, "kueue.x-k8s.io/pod-group-total-count")
        .or_else(|| value(annotations, "scheduling.volcano.sh/group-min-member"));
    let min_members = members.and_then(|text| text.parse().ok()).filter(|&members| members > 0);
    Some(Gang { name, min_members })
}

/// A mirror pod (of a static pod): the kubelet runs it whatever anybody decides.
pub fn is_mirror(meta: &Meta) -> bool {
    meta.owner.as_ref().is_some_and(|owner| owner.kind == "Node")
}
