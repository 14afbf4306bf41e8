//! Settings of the engine from settings of the user.

use super::{
    capacity::shorten,
    findings::Note,
    hardware::Hardware,
    pools::{Limits, Plan},
    signals,
};
use crate::{
    engine::{Kappa, PoolSettings},
    guard::{
        ledger::LedgerSettings,
        limits::{Budgets, StepSettings, Windows},
    },
    live::objects::go_duration,
    model::{LeadTime, Pool, StageTime, object::PriorityClass},
    strategy::candidates,
    time::Millis,
};

/// On a PriorityClass: what waiting costs its pods, over the price of a GPU-hour.
const RATIO: &str = "prewarm.dev/waiting-cost-ratio";
/// Label of every pool that has its name, so that a shape can be pinned to it.
pub(super) const POOL_LABEL: &str = "prewarm.dev/pool";
/// Largest ratio that makes sense, as in the schema of `GpuPool`.
const LARGEST_RATIO: f64 = 10_000.0;
/// Bounds of what a stage can be assumed to take.
const LONGEST_STAGE: Millis = Millis::from_hours(24);

/// Costs of waiting by priority, from annotations of PriorityClasses; of two for one priority the higher.
pub(super) fn by_priority<'a>(
    classes: impl Iterator<Item = &'a PriorityClass>,
    mut note: impl FnMut(Note),
) -> Vec<(i32, f64)> {
    let mut ratios: Vec<(i32, f64)> = Vec::new();
    for class in classes {
        let Some(text) = class.meta.annotations.get(RATIO) else { continue };
        let ratio = text.trim().parse::<f64>().ok().filter(|ratio| is_ratio(*ratio));
        match ratio {
            Some(ratio) => ratios.push((class.value, ratio)),
            None => note(Note::bad_annotation(format!(
                "PriorityClass {}: {RATIO}: {:?} is not a number from 0 to {LARGEST_RATIO}",
                class.meta.name,
                shorten(text)
            ))),
        }
    }
    ratios.sort_by(|a, b| a.0.cmp(&b.0).then(b.1.total_cmp(&a.1)));
    ratios.dedup_by_key(|&mut (priority, _)| priority);
    ratios
}

fn is_ratio(ratio: f64) -> bool {
    (0.0..=LARGEST_RATIO).contains(&ratio)
}

/// Settings of a pool.
pub(super) fn pool_settings(
    plan: &mut Plan<'_>,
    limits: Limits,
    by_priority: &[(i32, f64)],
) -> PoolSettings {
    let spec = plan.spec.clone();
    let default = if is_ratio(spec.waiting_cost_ratio) {
        spec.waiting_cost_ratio
    } else {
        let what = format!(
            "waitingCostRatio: {} is not from 0 to {LARGEST_RATIO}",
            spec.waiting_cost_ratio
        );
        plan.notes.push(Note::bad_setting(what));
        crate::live::gpu_pool::GpuPoolSpec::default_waiting_cost_ratio()
    };
    let (ledger, steps) = (LedgerSettings::default(), StepSettings::default());
    let bounds = &spec.limits;
    PoolSettings {
        pool: pool(plan, limits),
        kappa: Kappa { default, by_priority: by_priority.to_vec() },
        ledger: LedgerSettings {
            rho_permille: bounds
                .speculative_overhead_percent
                .map_or(ledger.rho_permille, |percent| percent.min(1000) * 10),
            capacity_node_ms: bounds
                .speculative_node_hours
                .map_or(ledger.capacity_node_ms, |hours| Millis::from_hours(i64::from(hours)).0),
        },
        steps: StepSettings {
            max_in_flight: bounds.max_in_flight.or(steps.max_in_flight),
            ..steps
        },
        budgets: Budgets { max_speculative_nodes: bounds.max_speculative_nodes, max_nodes: None },
        windows: Windows::default(),
        signals: signals::settings(&spec.signals, &mut plan.notes),
        pinned: pinned(&spec.strategy, default, &mut plan.notes),
    }
}

fn pool(plan: &mut Plan<'_>, limits: Limits) -> Pool {
    let lead_time = lead_time(plan);
    let Hardware { resource, gpus, cpu_milli, memory_mib, labels, .. } = &plan.hardware;
    let mut labels = labels.clone();
    labels.insert(POOL_LABEL.to_owned(), plan.key.clone());
    Pool {
        resource: resource.clone(),
        gpu_model: plan.hardware.model(),
        cpu_milli: *cpu_milli,
        memory_mib: *memory_mib,
        labels: labels.into_iter().collect(),
        min_nodes: limits.min,
        max_nodes: Some(limits.max),
        lead_time,
        ..Pool::new(plan.key.clone(), (*gpus).max(1))
    }
}

fn lead_time(plan: &mut Plan<'_>) -> LeadTime {
    let priors = plan.spec.lead_time.clone();
    let default = LeadTime::default();
    let mut stage = |name: &str, told: Option<&String>, default: StageTime| {
        let Some(text) = told else { return default };
        let span = go_duration(text).filter(|span| (Millis(1)..=LONGEST_STAGE).contains(span));
        span.map_or_else(
            || {
                let shown = shorten(text);
                let what =
                    format!("leadTime.{name}: {shown:?} is no duration up to 24h such as 5m");
                plan.notes.push(Note::bad_setting(what));
                default
            },
            StageTime::fixed,
        )
    };
    LeadTime {
        provisioning: stage("provisioning", priors.provisioning.as_ref(), default.provisioning),
        warm_up: stage("warmUp", priors.warm_up.as_ref(), default.warm_up),
    }
}

fn pinned(name: &str, kappa: f64, notes: &mut Vec<Note>) -> Option<usize> {
    if name.is_empty() || name.eq_ignore_ascii_case("auto") {
        return None;
    }
    let found = candidates(kappa).iter().position(|candidate| candidate.to_string() == name);
    if found.is_none() {
        let what = format!("strategy: {:?} is not known; Auto is used", shorten(name));
        notes.push(Note::bad_setting(what));
    }
    found
}
